package catalog

import "fmt"

// slotKind says which credential a slot of a document holds.
type slotKind string

const (
	sdkSlot         slotKind = "sdk"
	destinationSlot slotKind = "destination"
	webhookSlot     slotKind = "webhook"
	listenerSlot    slotKind = "listener"
	writeKeySlot    slotKind = "source"
	signingSlot     slotKind = "signing"

	// The credentials of before, while a rotation is under way.
	previousDestinationSlot slotKind = "previous_destination"
	previousWebhookSlot     slotKind = "previous_webhook"
	previousListenerSlot    slotKind = "previous_listener"
)

// previous is the kind of the credential that this one had before a rotation.
// Empty: this kind has no second one.
func (k slotKind) previous() slotKind {
	switch k {
	case destinationSlot:
		return previousDestinationSlot
	case webhookSlot:
		return previousWebhookSlot
	case listenerSlot:
		return previousListenerSlot
	}
	return ""
}

// sealed reports whether the credential is needed in plain again: sent on, or
// used to compute with. The others are only compared, so their hash is enough.
func (k slotKind) sealed() bool { return k == writeKeySlot || k == signingSlot }

// isPrevious reports whether the slot's credential is one of before. It stands
// right behind the one it belongs to.
func (k slotKind) isPrevious() bool {
	return k == previousDestinationSlot || k == previousWebhookSlot || k == previousListenerSlot
}

// prefix makes a generated credential recognisable, for people and for
// scanners of leaked secrets. Empty: this kind is never generated.
func (k slotKind) prefix() string {
	switch k {
	case sdkSlot:
		return "cw_sdk_"
	case destinationSlot:
		return "cw_key_"
	case webhookSlot, listenerSlot:
		return "cw_hook_"
	}
	return ""
}

// slot is one place of a document that holds a credential.
type slot struct {
	kind slotKind
	path string // as in findings: projects[0].segment.sources[0].writeKey
	// owner names the credential by names alone, so that it stays the same
	// when lists are reordered: sources[prod-impressions].writeKey.
	owner                      string
	project, environment, name string
	keyType                    string // of SDK keys
	secret                     *Secret
}

// slots lists every place that can hold a credential, in document order.
func (d *Document) slots() []slot {
	var list []slot
	for i := range d.Projects {
		p := &d.Projects[i]
		path := fmt.Sprintf("projects[%d]", i)
		for j := range p.Environments {
			e := &p.Environments[j]
			for k := range e.SDKKeys {
				key := &e.SDKKeys[k]
				list = append(list, slot{
					kind: sdkSlot, path: fmt.Sprintf("%s.environments[%d].sdkKeys[%d].key", path, j, k),
					owner:   fmt.Sprintf("projects[%s].environments[%s].sdkKeys[%s].key", p.Name, e.Name, key.Name),
					project: p.Name, environment: e.Name, name: key.Name, keyType: key.Type, secret: &key.Key,
				})
			}
		}
		list = append(list, p.Segment.slots(p.Name, path+".segment")...)
	}
	return list
}

func (s *SegmentSpec) slots(project, path string) []slot {
	var list []slot
	for i := range s.Sources {
		source := &s.Sources[i]
		list = append(list, slot{
			kind: writeKeySlot, path: fmt.Sprintf("%s.sources[%d].writeKey", path, i),
			owner:   fmt.Sprintf("sources[%s].writeKey", source.Name),
			project: project, name: source.Name, secret: &source.WriteKey,
		})
	}
	for i := range s.Destinations {
		d := &s.Destinations[i]
		at := fmt.Sprintf("%s.destinations[%d]", path, i)
		of := slot{project: project, environment: d.Environment, name: d.Name}
		for _, field := range []struct {
			kind   slotKind
			key    string
			secret *Secret
		}{
			{destinationSlot, "apiKey", &d.APIKey},
			{previousDestinationSlot, "previousApiKey", &d.PreviousAPIKey},
			{webhookSlot, "webhook.secret", &d.Webhook.Secret},
			{previousWebhookSlot, "webhook.previousSecret", &d.Webhook.PreviousSecret},
			{signingSlot, "webhook.signingSecret", &d.Webhook.SigningSecret},
		} {
			of.kind, of.path, of.secret = field.kind, at+"."+field.key, field.secret
			of.owner = fmt.Sprintf("destinations[%s].%s", d.Name, field.key)
			list = append(list, of)
		}
	}
	for i := range s.Listeners {
		l := &s.Listeners[i]
		of := slot{project: project, environment: l.Environment, name: l.Name}
		for _, field := range []struct {
			kind   slotKind
			key    string
			secret *Secret
		}{
			{listenerSlot, "secret", &l.Secret},
			{previousListenerSlot, "previousSecret", &l.PreviousSecret},
		} {
			of.kind, of.path, of.secret = field.kind, fmt.Sprintf("%s.listeners[%d].%s", path, i, field.key), field.secret
			of.owner = fmt.Sprintf("listeners[%s].%s", l.Name, field.key)
			list = append(list, of)
		}
	}
	return list
}
