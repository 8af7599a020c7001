package event

import "bytes"

// AppendEscaped appends object, a JSON object that this package has appended, with
// the texts that people write (content, username, customStatus) escaped for HTML
// as strictjson.AppendStringHTML does: CONFAB_ESCAPE_HTML. Texts are stored raw, so
// each object must go through here exactly once on its way out.
func AppendEscaped(dst, object []byte) []byte {
	text := false // the next string is the value of a text member
	for {
		quote := bytes.IndexByte(object, '"')
		if quote < 0 {
			return append(dst, object...)
		}
		end := quote + 1
		for end < len(object) && object[end] != '"' {
			if object[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(object) { // cut off: not ours
			return append(dst, object...)
		}
		body := object[quote+1 : end]
		dst = append(dst, object[:quote+1]...)
		if text {
			dst = appendBodyHTML(dst, body)
		} else {
			dst = append(dst, body...)
		}
		dst = append(dst, '"')
		object = object[end+1:]
		text = isTextKey(body) && bytes.HasPrefix(object, []byte(`:"`))
	}
}

// appendBodyHTML appends the inside of a JSON string with HTML escapes.
func appendBodyHTML(dst, body []byte) []byte {
	for {
		i := bytes.IndexAny(body, `&<>'\`)
		if i < 0 {
			return append(dst, body...)
		}
		dst = append(dst, body[:i]...)
		switch c := body[i]; {
		case c == '&':
			dst = append(dst, "&amp;"...)
		case c == '<':
			dst = append(dst, "&lt;"...)
		case c == '>':
			dst = append(dst, "&gt;"...)
		case c == '\'':
			dst = append(dst, "&#39;"...)
		case i+1 < len(body) && body[i+1] == '"':
			dst = append(dst, "&#34;"...)
			i++
		case i+1 < len(body): // another escape, which stays
			dst = append(dst, body[i:i+2]...)
			i++
		}
		body = body[i+1:]
	}
}
