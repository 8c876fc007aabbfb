package catalog

import "strings"

// prepare makes the document that would be stored for doc: checked, with kept
// and generated secrets, and nothing in plain.
func (c *Catalog) prepare(doc *Document, current *Snapshot) (plan, []Finding) {
	found := &findings{source: doc.source}
	check(doc, found)
	if len(found.list) > 0 {
		return plan{}, found.sorted()
	}
	p := plan{document: doc.clone()}
	p.document.source = nil
	kept := make(map[string]Secret)
	for _, s := range current.document.slots() {
		kept[s.owner] = *s.secret
	}
	left := false // the credential before this one in the document was left out
	for _, s := range p.document.slots() {
		if s.kind.isPrevious() && left && s.secret.IsZero() {
			*s.secret = kept[s.owner] // a file that says nothing of credentials ends no rotation
		}
		left = s.secret.IsZero()
		c.settle(&p, found, s, kept[s.owner])
	}
	checkCredentials(p.document, found) // again: kept secrets may equal given ones
	if len(found.list) > 0 {
		return plan{}, found.sorted()
	}
	p.change.Differences = difference(current.document, p.document)
	return p, nil
}

// settle brings one secret into the form it is stored in.
func (c *Catalog) settle(p *plan, found *findings, s slot, kept Secret) {
	given := *s.secret
	switch {
	case given.IsZero() && s.kind.prefix() == "":
		// Left out and never generated: there is none.
	case given.IsZero() && !kept.IsZero():
		*s.secret = kept
	case given.IsZero():
		value := generate(s.kind.prefix())
		*s.secret = NewSecret(value).hashed()
		p.change.Generated = append(p.change.Generated, GeneratedSecret{Path: s.path, Name: s.name, Value: value})
	case !s.kind.sealed():
		*s.secret = given.hashed()
	case given.is(sealedSecret):
		if _, err := c.sealer.open(given, s.owner); err != nil {
			found.add(s.path, "Write the secret itself or a ${VARIABLE} instead; a sealed text works only for the object it was exported from, under the same name and master key.",
				"the sealed text cannot be opened: %v", err)
		}
	default:
		*s.secret = c.sealAgain(given, kept, s.owner)
	}
}

// sealAgain seals a plain secret, or gives the sealed one that is there when it
// is the same: sealing twice gives two texts, and a file that was applied
// before must not look changed.
func (c *Catalog) sealAgain(given, kept Secret, owner string) Secret {
	if plain, err := c.sealer.open(kept, owner); err == nil && plain.Equal(given) {
		return kept
	}
	return c.sealer.seal(given.Reveal(), owner)
}

// Slug is the URL-safe id made from a name: lower-case letters, digits, dashes
// and underscores, everything else a dash. It is stable, and a slug's slug is
// itself. A name without any such character gets an id made from its hash.
func Slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '_':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	if slug := strings.Trim(b.String(), "-"); slug != "" {
		return slug
	}
	return "n" + strings.TrimPrefix(digestOf(name).fingerprint(), "sha256:")
}
