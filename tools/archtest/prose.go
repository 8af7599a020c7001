package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// plainer is a phrase that comments and documents must not use, and what to write instead.
type plainer struct {
	phrase  *regexp.Regexp
	instead string
}

// phrase returns the rule for a regular expression, whose spaces match line breaks too.
func phrase(expression, instead string) plainer {
	spaced := strings.ReplaceAll(expression, " ", `\s+`)
	return plainer{regexp.MustCompile(`(?i)\b(?:` + spaced + `)\b`), instead}
}

// unplain lists phrases that are nearly always wrong, so the list makes few false reports.
// A text can still be hard to read without any of them.
func unplain() []plainer {
	return []plainer{
		phrase(`tells? (?:whether|if|what|how|of|nothing)`, "reports whether, returns, describes"),
		phrase(`told|a telling`, "sent, notified, reported"),
		phrase(`nobody|somebody|everybody|anybody|whoever`, "the client, service, goroutine or reader that is meant"),
		phrase(`(?:it|that|this|which|calls?|ids?|messages?|rooms?|shards?|users?) (?:is|are) nothing`, "is a no-op, is ignored"),
		phrase(`lets? go`, "closes, releases, disconnects"),
		phrase(`(?:gives?|giving|given|gave) back`, "returns, releases"),
		phrase(`the rude`, "the client or peer that is meant"),
		phrase(`by itself|by themselves`, "automatically, locally, alone"),
		phrase(`for ever`, "forever, without limit"),
		phrase(`but for`, "except for"),
		phrase(`hears? of`, "receives, learns about"),
	}
}

// code matches what Markdown and Go comments quote as code, which is not prose.
var code = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")

// Prose returns the unplain phrases in the documents and in the comments of the Go files
// below root, tests excepted, as "file:line: phrase: what to write instead".
func Prose(root string) (broken []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		found, err := proseOf(path)
		broken = append(broken, found...)
		return err
	})
	return broken, err
}

func proseOf(path string) (broken []string, err error) {
	switch {
	case strings.HasSuffix(path, ".md"):
		text, err := os.ReadFile(path)
		return unplainIn(path, 1, string(text)), err
	case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, group := range file.Comments {
			var text strings.Builder
			for _, c := range group.List {
				text.WriteString(strings.TrimLeft(c.Text, "/") + "\n")
			}
			broken = append(broken, unplainIn(path, fset.Position(group.Pos()).Line, text.String())...)
		}
	}
	return broken, nil
}

// unplainIn returns the unplain phrases of a text that starts at a line of a file.
func unplainIn(path string, line int, text string) (broken []string) {
	text = code.ReplaceAllStringFunc(text, func(quoted string) string {
		return strings.Repeat("\n", strings.Count(quoted, "\n")) // keeps the lines' numbers
	})
	for _, p := range unplain() {
		for _, at := range p.phrase.FindAllStringIndex(text, -1) {
			broken = append(broken, fmt.Sprintf("%s:%d: %q: write instead: %s",
				path, line+strings.Count(text[:at[0]], "\n"), text[at[0]:at[1]], p.instead))
		}
	}
	return broken
}
