package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The process is killed at random moments while calls and impressions come in
// and calls go out. CAUSEWAY_TEST_KILLS sets the rounds.
func TestKillNineAtRandomMomentsLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	rounds := fromEnvironment(t, "CAUSEWAY_TEST_KILLS", 20)
	s, segment := newFaultyServer(t)
	l := newLoad(s)
	l.twice = true
	for range rounds {
		s.launch()
		s.becomesReady()
		l.start(8)
		time.Sleep(100*time.Millisecond + rand.N(500*time.Millisecond))
		s.kill()
		l.stop()
	}
	s.launch()
	s.becomesReady()
	l.account(fmt.Sprintf("kill -9, %d rounds", rounds), segment)
}

// SIGTERM under load: requests that the server has begun to read are answered,
// the process ends with 0 in time, and what it acknowledged is there after.
func TestSIGTERMUnderLoadAnswersWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	s, segment := newFaultyServer(t)
	l := newLoad(s)
	s.launch("--drain-timeout", "10s")
	s.becomesReady()
	l.start(8)
	time.Sleep(time.Second)

	// Requests whose body is half there when the signal comes.
	const slow = 20
	var answers [slow]chan string
	var begun atomic.Int32
	signalled := make(chan struct{})
	for i := range answers {
		answers[i] = make(chan string, 1)
		go func() { answers[i] <- slowRequest(s, fmt.Sprintf("slow-%d", i), &begun, signalled) }()
	}
	s.eventually("the slow requests have begun", func() error {
		if n := begun.Load(); n < slow {
			return fmt.Errorf("%d of %d", n, slow)
		}
		return nil
	})
	time.Sleep(200 * time.Millisecond) // until the server has read what there is
	start := time.Now()
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	close(signalled)
	for i, answer := range answers {
		if got := <-answer; got != "200 OK" {
			t.Errorf("slow request %d: %s", i, got)
		}
		l.note([]string{fmt.Sprintf("slow-%d", i)}, http.StatusOK, nil, 0)
	}
	if code := s.exitCode(15 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	took := time.Since(start)
	l.stop()
	s.launch()
	s.becomesReady()
	l.account(fmt.Sprintf("SIGTERM, stopped in %v", took.Round(time.Millisecond)), segment)
}

// slowRequest sends a call whose body's second half waits for a word, and
// returns the status that is answered.
func slowRequest(s *server, id string, begun *atomic.Int32, goOn <-chan struct{}) string {
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		return err.Error()
	}
	defer connection.Close()
	body := fmt.Sprintf(`{"type":"track","messageId":%q,"userId":"u1","event":"A","writeKey":%q}`, id, writeKey)
	fmt.Fprintf(connection, "POST /v1/track HTTP/1.1\r\nHost: causeway\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:20])
	begun.Add(1)
	<-goOn
	if _, err := fmt.Fprint(connection, body[20:]); err != nil {
		return err.Error()
	}
	if err := connection.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err.Error()
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err.Error()
	}
	response.Body.Close()
	return response.Status
}
