package fme

import (
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"causeway/internal/reason"
)

// field is one field of an impression, whatever a sender calls it.
type field uint8

const (
	flagField field = iota + 1
	keyField
	bucketingField
	treatmentField
	labelField
	changeField
	timeField
	previousField
	propertiesField
	sdkField
	sdkVersionField
	machineNameField
	machineIPField
)

// fields are the names that impressions go by: in the SDKs' bulk form, in
// Harness FME's impressions webhook, and in the Synchronizer's listener.
var fields = map[string]field{
	"k": keyField, "key": keyField, "keyName": keyField,
	"b": bucketingField, "bucketingKey": bucketingField,
	"t": treatmentField, "treatment": treatmentField,
	"r": labelField, "label": labelField,
	"c": changeField, "splitVersionNumber": changeField, "changeNumber": changeField,
	"m": timeField, "time": timeField,
	"pt":         previousField,
	"properties": propertiesField,

	// Only the webhook says these on each impression.
	"split": flagField,
	"sdk":   sdkField, "sdkVersion": sdkVersionField,
	"machineName": machineNameField,
	// Harness FME's own pages spell it both ways.
	"machineIp": machineIPField, "machineIP": machineIPField,
}

// MakeID sets the ID from the environment and the fields that make two reports
// of an impression the same one (R42, R48). Environment and Time must be set.
func (imp *Impression) MakeID() {
	imp.ID = NewID("impression", string(imp.Environment), imp.Flag, imp.Key, imp.BucketingKey, imp.Treatment,
		strconv.FormatInt(imp.ChangeNumber, 10), imp.Label, strconv.FormatInt(imp.Time.UnixMilli(), 10))
}

// DecodeImpressions reads the body of testImpressions/bulk: impressions under
// their flags. An impression without flag, key or treatment is bad. Time is
// zero when the SDK did not say.
func DecodeImpressions(body []byte) ([]Impression, []Bad, error) {
	list, err := openList(body)
	if err != nil {
		return nil, nil, err
	}
	var d impressionDecoder
	d.groups(list, "f", "i")
	return d.impressions, d.bad, nil
}

// DecodeImpressionListener reads what the Split Synchronizer and Proxy post to
// an impression listener.
func DecodeImpressionListener(body []byte) ([]Impression, []Bad, error) {
	object, list, err := openListIn(body, "impressions")
	if err != nil {
		return nil, nil, err
	}
	var d impressionDecoder
	d.common.SDK, d.common.SDKVersion = SDKName(text(member(object, "sdkVersion")))
	d.common.MachineName = Machine(text(member(object, "machineName", "MachineName")))
	d.common.MachineIP = Machine(text(member(object, "machineIP", "machineIp", "MachineIP")))
	d.groups(list, "testName", "keyImpressions")
	return d.impressions, d.bad, nil
}

// DecodeImpressionsWebhook reads what Harness FME's impressions webhook sends:
// a list of impressions. One impression alone is taken, too.
func DecodeImpressionsWebhook(body []byte) ([]Impression, []Bad, error) {
	list, err := open(body)
	if err != nil {
		return nil, nil, err
	}
	var d impressionDecoder
	switch {
	case list.IsArray():
		d.each(list, func(item gjson.Result) { d.add(item, "") })
	case list.IsObject():
		d.add(list, "")
	default:
		return nil, nil, ErrShape
	}
	return d.impressions, d.bad, nil
}

// impressionDecoder gathers the impressions of a body.
type impressionDecoder struct {
	collector
	common      Impression // what the body says of all its impressions
	impressions []Impression
}

// groups reads impressions that stand in lists under their flags. A group that
// is unreadable as a whole counts as one item.
func (d *impressionDecoder) groups(list gjson.Result, flagName, listName string) {
	list.ForEach(func(_, group gjson.Result) bool {
		items := member(group, listName)
		if !items.IsArray() {
			d.reject(reason.ImpressionIncomplete, "item %d: no list of impressions", d.index)
			d.index++
			return true
		}
		flag := text(member(group, flagName))
		d.each(items, func(item gjson.Result) { d.add(item, flag) })
		return true
	})
}

// add reads one impression. flag is that of its group; "": it says so itself.
func (d *impressionDecoder) add(item gjson.Result, flag string) {
	imp := d.common
	imp.Flag = flag
	keyOK, bucketingOK := true, true
	if item.IsObject() {
		item.ForEach(func(name, value gjson.Result) bool {
			switch fields[name.Str] {
			case flagField:
				imp.Flag = text(value)
			case keyField:
				imp.Key, keyOK = keyText(value)
			case bucketingField:
				imp.BucketingKey, bucketingOK = keyText(value)
			case treatmentField:
				imp.Treatment = text(value)
			case labelField:
				imp.Label = text(value)
			case changeField:
				n, said := integer(value)
				imp.ChangeNumber, imp.ChangeNumberZero = n, said && n == 0
			case timeField:
				imp.Time = milliTime(value)
			case previousField:
				imp.PreviousTime = milliTime(value)
			case propertiesField:
				imp.Properties = propertiesText(value)
			case sdkField:
				imp.SDK = text(value)
			case sdkVersionField:
				imp.SDKVersion = text(value)
			case machineNameField:
				imp.MachineName = Machine(text(value))
			case machineIPField:
				imp.MachineIP = Machine(text(value))
			}
			return true
		})
	}
	switch {
	case !item.IsObject():
		d.reject(reason.ImpressionIncomplete, "item %d is not an object", d.index)
	case imp.Flag == "":
		d.reject(reason.ImpressionIncomplete, "item %d: no flag", d.index)
	case !keyOK || imp.Key == "":
		d.reject(reason.ImpressionIncomplete, "item %d, flag %s: no key", d.index, short(imp.Flag))
	case !bucketingOK:
		d.reject(reason.ImpressionIncomplete, "item %d, flag %s: the bucketing key is not text", d.index, short(imp.Flag))
	case imp.Treatment == "":
		d.reject(reason.ImpressionIncomplete, "item %d, flag %s: no treatment", d.index, short(imp.Flag))
	default:
		d.impressions = append(d.impressions, imp)
	}
}

// short keeps a detail readable whatever stands in the body.
func short(s string) string {
	const limit = 100
	n := 0
	for i := range s {
		if n == limit {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// DecodeImpressionCounts reads the body of testImpressions/count. Hour is zero
// when the SDK did not say.
func DecodeImpressionCounts(body []byte) ([]ImpressionCount, []Bad, error) {
	_, list, err := openListIn(body, "pf")
	if err != nil {
		return nil, nil, err
	}
	var counts []ImpressionCount
	var c collector
	c.each(list, func(item gjson.Result) {
		flag := text(member(item, "f"))
		count, ok := integer(member(item, "rc"))
		switch {
		case flag == "":
			c.reject(reason.ItemUnreadable, "count %d: no flag", c.index)
		case !ok || count < 0:
			c.reject(reason.ItemUnreadable, "count %d, flag %s: no count", c.index, short(flag))
		default:
			hour := milliTime(member(item, "m"))
			if !hour.IsZero() {
				hour = hour.Truncate(time.Hour)
			}
			counts = append(counts, ImpressionCount{Flag: flag, Hour: hour, Count: count})
		}
	})
	return counts, c.bad, nil
}

// DecodeUniqueKeysByFlag reads the body of keys/ss: keys under their flags.
func DecodeUniqueKeysByFlag(body []byte) ([]UniqueKey, []Bad, error) {
	return uniqueKeys(body, "f", "ks", func(outer, inner string) UniqueKey {
		return UniqueKey{Flag: outer, Key: inner}
	})
}

// DecodeUniqueKeysByKey reads the body of keys/cs: flags under their keys.
func DecodeUniqueKeysByKey(body []byte) ([]UniqueKey, []Bad, error) {
	return uniqueKeys(body, "k", "fs", func(outer, inner string) UniqueKey {
		return UniqueKey{Key: outer, Flag: inner}
	})
}

func uniqueKeys(body []byte, outerName, listName string, pair func(outer, inner string) UniqueKey) ([]UniqueKey, []Bad, error) {
	_, list, err := openListIn(body, "keys")
	if err != nil {
		return nil, nil, err
	}
	var keys []UniqueKey
	var c collector
	list.ForEach(func(_, group gjson.Result) bool {
		outer, _ := keyText(member(group, outerName))
		items := member(group, listName)
		if outer == "" || !items.IsArray() {
			c.reject(reason.ItemUnreadable, "item %d: no %s or no list %s", c.index, outerName, listName)
			c.index++
			return true
		}
		c.each(items, func(item gjson.Result) {
			inner, ok := keyText(item)
			if !ok || inner == "" {
				c.reject(reason.ItemUnreadable, "item %d, %s: a name or key that is not text", c.index, short(outer))
				return
			}
			keys = append(keys, pair(outer, inner))
		})
		return true
	})
	return keys, c.bad, nil
}
