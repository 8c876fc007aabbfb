package ingest

import "testing"

func TestKnownWriteKeysAreMaskedWhereverTheyStand(t *testing.T) {
	for body, want := range map[string]string{
		`{"writeKey":"write-key-1","event":"x"}`:                                        `{"writeKey":"***********","event":"x"}`,
		`{"batch":[{"writeKey" : "write-key-1"},{"writeKey":"write-key-2"}]}`:           `{"batch":[{"writeKey" : "***********"},{"writeKey":"***********"}]}`,
		"{\"writeKey\"\n:\t\"write-key-2\"}":                                            "{\"writeKey\"\n:\t\"***********\"}",
		`{"writeKey":"write-key-2","a":"write-key-2","properties":{"writeKey":"mine"}}`: `{"writeKey":"***********","a":"write-key-2","properties":{"writeKey":"mine"}}`,
		`{"a":"\"writeKey\":\"write-key-2\""}`:                                          `{"a":"\"writeKey\":\"write-key-2\""}`,
		`{"writeKey":7,"b":["writeKey","write-key-2"]}`:                                 `{"writeKey":7,"b":["writeKey","write-key-2"]}`,
		`{"writeKey":"","writeKey":null}`:                                               `{"writeKey":"","writeKey":null}`,
		`"writeKey"`:                                                                    `"writeKey"`, `"writeKey":`: `"writeKey":`, `"writeKey":"write-key-2`: `"writeKey":"write-key-2`,
	} {
		text := []byte(body)
		if mask(text, snapshot); string(text) != want {
			t.Errorf("%s became %s, want %s", body, text, want)
		}
	}
}
