package e2e

import (
	"errors"
	"testing"
	"time"

	"github.com/splitio/go-client/v6/splitio/client"
	"github.com/splitio/go-client/v6/splitio/conf"
	"github.com/splitio/go-split-commons/v9/dtos"
	"github.com/splitio/go-toolkit/v5/logging"
)

// splitWithGo uses Split's SDK for Go.
func splitWithGo(_ *testing.T, u use) ([]answer, error) {
	settings := conf.Default()
	settings.ImpressionsMode = u.mode
	settings.IPAddress, settings.InstanceName = "10.1.2.3", "host-1"
	settings.Logger = logging.NewLogger(&logging.LoggerOptions{LogLevel: logging.LevelNone})
	settings.Advanced.SdkURL, settings.Advanced.EventsURL = u.host+"/api", u.host+"/api"
	settings.Advanced.AuthServiceURL, settings.Advanced.StreamingServiceURL = u.host, u.host+"/sse"
	settings.Advanced.TelemetryServiceURL = u.host + "/api/v1"
	settings.TaskPeriods.EventsSync = 1
	factory, err := client.NewSplitFactory(serverKey, settings)
	if err != nil {
		return nil, err
	}
	sdk := factory.Client()
	defer sdk.Destroy()
	if err := sdk.BlockUntilReady(15); err != nil {
		return nil, err
	}
	var answers []answer
	for _, e := range u.script.Evaluations {
		nextMillisecond()
		var key any = e.Key
		if e.BucketingKey != "" {
			key = client.NewKey(e.Key, e.BucketingKey)
		}
		var options []client.OptFn
		if e.Properties != nil {
			options = append(options, sdk.WithEvaluationOptions(&dtos.EvaluationOptions{Properties: e.Properties}))
		}
		result := sdk.TreatmentWithConfig(key, e.Flag, nil, options...)
		answers = append(answers, answer{Treatment: result.Treatment, Config: result.Config})
	}
	for _, e := range u.script.Events {
		var value any
		if e.Value != nil {
			value = *e.Value
		}
		if err := sdk.Track(e.Key, e.Traffic, e.Type, value, e.Properties); err != nil {
			return nil, errors.New("track " + e.Type + ": " + err.Error())
		}
	}
	u.wait()
	return answers, nil
}

// nextMillisecond returns in a millisecond of its own: impressions of one key
// and flag differ by their time.
func nextMillisecond() {
	for start := time.Now().UnixMilli(); time.Now().UnixMilli() == start; {
		time.Sleep(100 * time.Microsecond)
	}
}
