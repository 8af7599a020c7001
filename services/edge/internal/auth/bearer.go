package auth

import "strings"

// Bearer returns the token in an Authorization header (RFC 6750, section 2.1), or ""
// for another scheme.
func Bearer(header string) string {
	const scheme = "bearer "
	if len(header) <= len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return ""
	}
	return strings.TrimLeft(header[len(scheme):], " ")
}
