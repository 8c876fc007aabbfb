package web

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/catalog"
)

// form is what a person entered and what is wrong with it, by field. A form
// that is shown again keeps what was entered.
type form struct {
	Values url.Values
	Errors map[string]string
	// Error is what is wrong with the whole.
	Error string
}

// readForm reads what was posted.
func readForm(r *request) (form, error) {
	f := form{Errors: map[string]string{}}
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return f, err
		}
		return f, &problem{http.StatusBadRequest, "The form could not be read", "Go back, reload the page and send it again.", err}
	}
	f.Values = r.PostForm
	return f, nil
}

// Value is what was entered in a field.
func (f form) Value(name string) string { return f.Values.Get(name) }

// Has reports whether a box of that value is ticked, or an option chosen.
func (f form) Has(name, value string) bool {
	for _, v := range f.Values[name] {
		if v == value {
			return true
		}
	}
	return false
}

// Wrong is what is wrong with a field, or empty.
func (f form) Wrong(name string) string { return f.Errors[name] }

// Failed reports whether anything is wrong.
func (f form) Failed() bool { return len(f.Errors) > 0 || f.Error != "" }

// refused takes an error that a person can mend into the form; other errors
// are returned.
func (f *form) refused(err error) error {
	var invalid *auth.InvalidError
	var limited *auth.LimitedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		f.Errors[invalid.Field] = invalid.Text
	case errors.As(err, &limited):
		f.Error = "There were too many attempts. Wait " + shortDuration(limited.Wait) + " and try again."
	default:
		return err
	}
	return nil
}

// findingText is what is wrong with the configuration, and what to do.
func findingText(f catalog.Finding) string {
	return strings.ToUpper(f.Message[:1]) + f.Message[1:] + ". " + f.Fix
}
