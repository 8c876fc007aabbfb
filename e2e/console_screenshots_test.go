package e2e

import (
	"bytes"
	"cmp"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"
)

// pictures are the README's, of the demo. Each is there in light and in dark.
var pictures = []struct {
	name, path string
	ready      string // an expression that is true when the page is worth a picture
}{
	{"overview", "/", `document.querySelectorAll(".funnel a").length > 5`},
	{"live", "/live", `document.querySelectorAll("#rows tr").length > 20 && document.querySelector("#state-text").textContent === "live"`},
	{"segment", "/integrations/segment/shop/destinations/prod-events", `(document.querySelector("#eventType").closest("fieldset").scrollIntoView({block: "start"}), document.querySelector(".picker").open = true)`},
	{"experiment", "/experiments/checkout-button", `document.querySelector("main svg") !== null`},
}

// maxPicture is what a picture may weigh, in bytes.
const maxPicture = 150_000

// CAUSEWAY_SCREENSHOTS=1 makes the README's pictures again. Without it they are
// checked: every picture that the README shows is there, is no larger than it
// must be, and nothing lies about that is not shown.
func TestConsoleScreenshotsAreThoseOfTheREADME(t *testing.T) {
	folder := filepath.Join("..", "docs", "screenshots")
	if os.Getenv("CAUSEWAY_SCREENSHOTS") != "" {
		takePictures(t, folder)
	}
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, match := range regexp.MustCompile(`docs/screenshots/([\w-]+\.png)`).FindAllSubmatch(readme, -1) {
		shown[string(match[1])] = true
	}
	there := map[string]bool{}
	for _, p := range pictures {
		there[p.name+"-light.png"], there[p.name+"-dark.png"] = true, true
	}
	if !maps.Equal(shown, there) {
		t.Errorf("the README shows %v; the pictures are %v", sorted(shown), sorted(there))
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if !there[file.Name()] || info.Size() > maxPicture || info.Size() < 5_000 {
			t.Errorf("%s, %d bytes: not one of the pictures, or of no proper size", file.Name(), info.Size())
		}
		delete(there, file.Name())
	}
	if len(there) > 0 {
		t.Errorf("missing: %v", sorted(there))
	}
}

func takePictures(t *testing.T, folder string) {
	v := signIn(t, demo(t), demoEmail, demoPassword)
	time.Sleep(15 * time.Second) // some live traffic, and deliveries that fail
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, one := range pictures {
		for _, theme := range []string{light, dark} {
			p := v.open(one.path)
			p.look(theme, 1280)
			p.waitFor(one.ready)
			small, err := shrink(p.picture())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, one.name+"-"+theme+".png"), small, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// shrink writes a picture with the 256 colours that it has most of; others
// become the nearest of these. Pages have few colours, so nobody sees it.
func shrink(data []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	counts := map[color.Color]int{}
	bounds := full.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[full.At(x, y)]++
		}
	}
	most := slices.SortedFunc(maps.Keys(counts), func(a, b color.Color) int { return cmp.Compare(counts[b], counts[a]) })
	palette := color.Palette(most[:min(256, len(most))])
	index := map[color.Color]uint8{}
	few := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			c := full.At(x, y)
			i, known := index[c]
			if !known {
				i = uint8(palette.Index(c))
				index[c] = i
			}
			few.SetColorIndex(x, y, i)
		}
	}
	var out bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	err = encoder.Encode(&out, few)
	return out.Bytes(), err
}
