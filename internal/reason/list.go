package reason

// The codes. List below explains each of them.
const (
	TooLarge         Code = "too_large"
	UnsupportedType  Code = "unsupported_type"
	OwnEcho          Code = "own_echo"
	IntegrationsOff  Code = "integrations_off"
	IdentifyOff      Code = "identify_off"
	TrackOff         Code = "track_off"
	PageOff          Code = "page_off"
	ScreenOff        Code = "screen_off"
	UnnamedPage      Code = "unnamed_page"
	UnnamedScreen    Code = "unnamed_screen"
	GroupNotMapped   Code = "group_not_mapped"
	NoIdentity       Code = "no_identity"
	EventTypeMissing Code = "event_type_missing"
	EventTypeInvalid Code = "event_type_invalid"
	RepeatedCall     Code = "duplicate"

	NotAnObject        Code = "not_an_object"
	IDNotAString       Code = "id_not_a_string"
	KeyTooLong         Code = "key_too_long"
	UnknownTrafficType Code = "unknown_traffic_type"
	SplitOver100       Code = "split_over_100"
	ValueNotANumber    Code = "value_not_a_number"
	PropertiesOver300  Code = "properties_over_300"
	PropertyCut        Code = "property_cut"
	TimeUnreadable     Code = "time_unreadable"
	TimeInFuture       Code = "time_in_future"
	TraitCut           Code = "trait_cut"
	TraitNameInvalid   Code = "trait_name_invalid"

	ControlNotSent       Code = "control_not_sent"
	TrafficTypeUnknown   Code = "traffic_type_unknown"
	TrafficTypeNotMapped Code = "traffic_type_not_mapped"
	PropertiesUnreadable Code = "properties_unreadable"
	ImpressionIncomplete Code = "impression_incomplete"
	ItemUnreadable       Code = "item_unreadable"
	RefusedBySegment     Code = "refused_by_segment"
	RetriesExhausted     Code = "retries_exhausted"
	OutboundFull         Code = "outbound_full"
	CredentialsRefused   Code = "credentials_refused"
	EndpointNotAllowed   Code = "endpoint_not_allowed"
	ConfigurationGone    Code = "configuration_gone"
	BodyNotJSON          Code = "body_not_json"
	BodyIncomplete       Code = "body_incomplete"
	BodyTooLarge         Code = "body_too_large"
	BatchTooLong         Code = "batch_too_long"
	CredentialsMissing   Code = "credentials_missing"
	CredentialsUnknown   Code = "credentials_unknown"
	SignatureInvalid     Code = "signature_invalid"
	NotDurable           Code = "not_durable"
	RateLimited          Code = "rate_limited"
)

// List explains every code, in the order of the rulings.
var List = []Info{
	{TooLarge, Ends, "The item is larger than 32,768 bytes as it stood in the body.", "Send less in one call: move long texts and lists out of properties or traits.", "R21, X14"},
	{UnsupportedType, Ends, "The call is an alias, a delete or of a type that is none of identify, group, track, page and screen.", "Nothing to do for alias and delete; otherwise spell the type in lower case.", "R13, X12"},
	{OwnEcho, Ends, "The call was made by Causeway itself (context.library.name is causeway) and came back through Segment.", "Nothing to do. To take such calls in, set acceptOwnEcho on the destination.", "R16, X13"},
	{IntegrationsOff, Ends, "The sender switched this destination off for the call with its integrations object.", "Send integrations without \"All\": false, or with \"Split\": true.", "R17, X13"},
	{IdentifyOff, Ends, "Identify (and with it group) is switched off in the destination.", "Set identify: true on the destination if you want attributes.", "R14"},
	{TrackOff, Ends, "Track is switched off in the destination.", "Set track.enabled: true on the destination if you want events.", "R14"},
	{PageOff, Ends, "Named pages are switched off in the destination.", "Set pages.enabled: true on the destination.", "R14"},
	{ScreenOff, Ends, "Named screens are switched off in the destination.", "Set screens.enabled: true on the destination.", "R14"},
	{UnnamedPage, Ends, "The page call has no name at its top level, and only named pages become events.", "Give the call a name: analytics.page(\"signup\").", "R2"},
	{UnnamedScreen, Ends, "The screen call has no name at its top level, and only named screens become events.", "Give the call a name: analytics.screen(\"signup\").", "R2"},
	{GroupNotMapped, Ends, "The group call names no FME traffic type in traits.split, and the destination has no group traffic type.", "Send traits.split, or set groupTrafficType on the destination.", "R12"},
	{NoIdentity, Ends, "The call has no usable id that this destination maps to a traffic type, and no usable pair in split.", "Map userId or anonymousId to a traffic type in the destination's identities, or send the id the destination expects.", "R15, X11"},
	{EventTypeMissing, Ends, "Nothing usable stands where the destination's eventType path points.", "eventType is the place where the name stands, usually \"event\" or \"properties.eventName\", never the name itself.", "R6"},
	{EventTypeInvalid, Ends, "The event's name does not fit FME: a letter or digit, then up to 79 letters, digits, dots, dashes, underscores or colons.", "Rename the event, or set repairNames on the destination.", "R6"},
	{RepeatedCall, Ends, "A call with this messageId was already stored.", "Nothing to do: it was counted once. If the calls differ, give each its own messageId.", "R18"},

	{NotAnObject, Notes, "properties or traits is not a JSON object, so it was taken as absent.", "Send an object.", "X16"},
	{IDNotAString, Notes, "An id is neither text nor a number, so it was taken as absent.", "Send ids as text.", "R4, X3"},
	{KeyTooLong, Notes, "An id is longer than 250 characters; that leg was left out.", "Use ids of at most 250 characters.", "R4"},
	{UnknownTrafficType, Notes, "A traffic type is not one of the project's; that pair was skipped.", "Add it to the project's trafficTypes, or correct its spelling.", "R5, R19"},
	{SplitOver100, Notes, "split names more than 100 keys; the first 100 were taken.", "Send several calls, or fewer pairs.", "R5"},
	{ValueNotANumber, Notes, "Something stands at the value path but it is no plain number, so the event's value is null.", "Send a number, or correct the destination's value path.", "R8, X6"},
	{PropertiesOver300, Notes, "The call has more than 300 properties; the first 300 were kept.", "Send fewer properties.", "R9"},
	{PropertyCut, Notes, "A property is longer than 256 characters and was cut.", "Send shorter texts.", "R9"},
	{TimeUnreadable, Notes, "The time of the call could not be read, so the time of receipt was used.", "Send ISO 8601 in UTC, for example 2026-01-02T03:04:05.006Z.", "R10, X9"},
	{TimeInFuture, Notes, "The time of the call is more than 24 hours ahead, so the time of receipt was used.", "Correct the sender's clock.", "R10, X9"},
	{TraitCut, Notes, "A trait is longer than 255 characters and was cut.", "Send shorter texts; flatten objects.", "R11"},
	{TraitNameInvalid, Notes, "A trait's name does not fit FME: a letter, then up to 199 letters, digits, dashes or underscores. It was skipped.", "Rename the trait.", "R11"},

	{ControlNotSent, Skips, "The SDK could not evaluate the flag (treatment control), so the impression was not sent to Segment.", "Nothing to do. To send these too, set sendControl on the source.", "R43"},
	{TrafficTypeUnknown, SetAside, "The flag is not in the catalog, so its traffic type is unknown. The impression is kept for replay.", "Add the flag to the project's flags, or set defaultTrafficType on the source, then replay.", "R44"},
	{TrafficTypeNotMapped, Skips, "The flag's traffic type has no Segment identity in this source.", "Map the traffic type to userId or anonymousId in the source's identities.", "R40"},
	{PropertiesUnreadable, Reports, "The impression's own properties are no JSON object and were left out.", "Pass impression properties as an object.", "R41, X17"},
	{ImpressionIncomplete, Ends, "The impression lacks a flag, a key or a treatment, or one of them is of the wrong type.", "Send it in the Split SDK's form.", "R33"},
	{ItemUnreadable, Ends, "An item of an SDK's list of events, counts or unique keys is not of the form the SDKs send.", "Send it in the Split SDK's form.", "R33"},

	{RefusedBySegment, SetAside, "Segment answered that it will never take this item.", "Read Segment's answer beside the item, mend the cause, then replay.", "R46"},
	{RetriesExhausted, SetAside, "The item could not be delivered within the retry time.", "See why deliveries fail, then replay.", "R46"},
	{OutboundFull, SetAside, "The configuration's outbound budget is used up, so the item was set aside.", "Mend the delivery or raise the budget, then replay.", "R47"},
	{CredentialsRefused, Reports, "Segment refuses the write key; the configuration is paused and nothing is discarded.", "Paste the right write key into the source.", "R46"},
	{EndpointNotAllowed, Reports, "The endpoint's address is private, loopback, link-local or a metadata service; the configuration is paused.", "Use a public endpoint, or start with --allow-private-endpoints for private and loopback ones.", "R45"},
	{ConfigurationGone, SetAside, "The source or destination was removed while things for it waited.", "Add it again under the same name; set-aside items can then be replayed.", "R46"},

	{BodyNotJSON, Refuses, "The body is not JSON of the form this route takes.", "Send JSON; check the content encoding.", "R30, R31"},
	{BodyIncomplete, Refuses, "The body did not arrive in full, or not in time.", "The sender should try again; look for a slow or cutting proxy in between.", "R34"},
	{BodyTooLarge, Refuses, "The body is over the route's limit, counted after decompression.", "Send smaller batches.", "R30, R31"},
	{BatchTooLong, Refuses, "The batch has more than 2,500 calls.", "Send smaller batches.", "R30"},
	{CredentialsMissing, Refuses, "The request carries no key.", "Send the key as the library's documentation says.", "R32"},
	{CredentialsUnknown, Refuses, "The request's key or secret is not known here.", "Copy the key again; check that it belongs to this server and route.", "R30, R31, R33"},
	{SignatureInvalid, Refuses, "The X-Signature header is missing or does not match the body.", "Give both sides the same signing secret.", "R32"},
	{NotDurable, Refuses, "The request could not be made durable, so it was not accepted.", "The sender should try again; see /readyz for the cause.", "R31, R34"},
	{RateLimited, Refuses, "The key's limit is used up, or too many requests without a known key came from this address.", "The sender should wait as long as Retry-After says; raise the limits of the key, or correct the sender's key.", "R35"},
}
