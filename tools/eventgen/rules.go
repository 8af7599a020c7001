package main

// rules returns what writes the list of rules of the events with that route, in package
// pkg of the room service: for each the method with the name of the payload's type.
func rules(pkg, route string) func(*writer) error {
	return func(w *writer) error {
		rows, err := w.Events()
		if err != nil {
			return err
		}
		w.linef("package %s\n\nimport \"github.com/confab-chat/confab/services/room/internal/shard/request\"\n", pkg)
		w.linef("// Rules returns the rule of each client event that is forwarded here, sorted by name.")
		w.linef("func (s *Set) Rules() []request.Rule {\nreturn []request.Rule{")
		for _, row := range rows {
			if row.Route == route {
				w.linef("request.On(%q, s.%s),", row.Name, row.Payload)
			}
		}
		w.linef("}\n}")
		return nil
	}
}
