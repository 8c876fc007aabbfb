package web

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/fme"
	"causeway/internal/store"
)

const (
	flagsShown       = 100 // flags with counts on a page
	impressionsShown = 50
)

// impressionsPage lists impressions, and counts them by flag.
type impressionsPage struct {
	dataPage
	Flag, Key, Treatment string
	Flags                []flagCount
	MoreFlags            int
	Treatments           []treatmentCount
	Read                 int  // impressions that Treatments is drawn from
	All                  bool // and they are all there are
	Impressions          []fme.Impression
	Older                string
	Filtered             bool
	Nothing              *nothing
}

// flagCount is what is known of one flag, with its traffic type if the catalog
// knows it (R44).
type flagCount struct {
	store.FlagCount
	TrafficType string
}

type treatmentCount struct {
	Treatment string
	Count     int
}

func (s *Server) impressions(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Impressions")
	}
	q, people := r.URL.Query(), r.may(auth.SeePeople)
	p := impressionsPage{dataPage: s.dataPage(r, "Impressions"), Flag: q.Get("flag"), Treatment: q.Get("treatment")}
	if people {
		p.Key = q.Get("key")
	}
	filters := []string{"flag", p.Flag, "key", p.Key, "treatment", p.Treatment}
	if p.paged {
		p.Newest = p.Link("/impressions", filters...)
	}
	p.Filtered = p.Flag+p.Key+p.Treatment != ""
	if q.Get("cursor") == "" {
		if err := s.countFlags(r, &p); err != nil {
			return err
		}
	}
	query := store.ImpressionQuery{Environment: r.env.ID, Flag: p.Flag, Key: p.Key, Treatment: p.Treatment}
	query.Limit, query.Cursor = impressionsShown, q.Get("cursor")
	page, err := s.Store.Impressions(r.Context(), query)
	if err != nil {
		return storeFailed(err)
	}
	switch {
	case len(page.Items) > 0 || len(p.Flags) > 0:
	case p.Filtered:
		p.Nothing = &nothing{"No impression fits these filters", "Flags, keys and treatments are matched whole, with capitals as they are.", p.Link("/impressions"), "Show all impressions"}
	default:
		p.Nothing = s.nothingShown(r, p.layout)
	}
	if people {
		p.Impressions = page.Items
		if page.NextCursor != "" {
			p.Older = p.Link("/impressions", append(filters, "cursor", page.NextCursor)...)
		}
	}
	return s.show(r, "impressions", p)
}

// countFlags fills in the counts by flag, and of a chosen flag by treatment.
func (s *Server) countFlags(r *request, p *impressionsPage) error {
	flags, err := s.Store.Flags(r.Context(), r.env.ID, r.now.Add(-quietFor))
	if err != nil {
		return storeFailed(err)
	}
	if p.Flag != "" {
		flags = slices.DeleteFunc(flags, func(f store.FlagCount) bool { return f.Flag != p.Flag })
	}
	slices.SortStableFunc(flags, func(a, b store.FlagCount) int { return cmp.Compare(b.Evaluations, a.Evaluations) })
	if n := len(flags); n > flagsShown {
		flags, p.MoreFlags = flags[:flagsShown], n-flagsShown
	}
	for _, f := range flags {
		one := flagCount{FlagCount: f}
		one.TrafficType, _ = r.env.Project.FlagTrafficType(f.Flag)
		p.Flags = append(p.Flags, one)
	}
	if p.Flag == "" {
		return nil
	}
	newest, err := s.Store.Impressions(r.Context(), store.ImpressionQuery{Environment: r.env.ID, Flag: p.Flag, Span: store.Span{Limit: newestRead}})
	if err != nil {
		return storeFailed(err)
	}
	p.Read, p.All = len(newest.Items), newest.NextCursor == ""
	for _, i := range newest.Items {
		at := slices.IndexFunc(p.Treatments, func(t treatmentCount) bool { return t.Treatment == i.Treatment })
		if at < 0 {
			at = len(p.Treatments)
			p.Treatments = append(p.Treatments, treatmentCount{Treatment: i.Treatment})
		}
		p.Treatments[at].Count++
	}
	slices.SortStableFunc(p.Treatments, func(a, b treatmentCount) int { return cmp.Compare(b.Count, a.Count) })
	if len(p.Treatments) > flagsShown {
		p.Treatments = p.Treatments[:flagsShown]
	}
	return nil
}

// nothingShown says why there are no impressions.
func (s *Server) nothingShown(r *request, l layout) *nothing {
	var ways []string
	for _, project := range r.snapshot.Document().Projects {
		for _, e := range project.Environments {
			if fme.NewEnvironmentID(project.Name, e.Name) != r.env.ID {
				continue
			}
			for _, key := range e.SDKKeys {
				ways = append(ways, "the SDK key "+key.Name)
			}
		}
	}
	for _, listener := range r.snapshot.Listeners() {
		if listener.Environment.ID == r.env.ID {
			ways = append(ways, "the listener "+listener.Name)
		}
	}
	if len(ways) == 0 {
		return &nothing{"Nothing can send impressions here", "Impressions come from Split SDKs, which need an SDK key of this environment, or through a listener. There is neither.", l.Link("/integrations"), "Integrations"}
	}
	return &nothing{"No impression has arrived in the last 7 days",
		"They may come with " + strings.Join(ways[:min(len(ways), 5)], ", ") + ". Point a Split SDK's events and telemetry addresses at this server, or a listener, and let it evaluate a flag.",
		l.Link("/live"), "Watch the live tail"}
}

// Of is the traffic type of an impression's key: its own, or that of its flag
// now; empty: unknown.
func (p impressionsPage) Of(i fme.Impression) string {
	if i.TrafficType != "" {
		return i.TrafficType
	}
	for _, f := range p.Flags {
		if f.Flag == i.Flag {
			return f.TrafficType
		}
	}
	return ""
}

// Late reports whether an impression came long after it was made.
func (impressionsPage) Late(i fme.Impression) bool { return i.ReceivedAt.Sub(i.Time) > time.Hour }
