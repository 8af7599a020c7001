package config

import "github.com/confab-chat/confab/shared/origin"

// Limits holds the rate limits per user and minute, for the services that apply them.
type Limits struct {
	Messages int `env:"LIMIT_MESSAGES" envDefault:"60" production:"30" test:"10" min:"0" doc:"messages per user per minute; 0: unlimited, refused in production"`
	Joins    int `env:"LIMIT_JOINS" envDefault:"20" production:"10" test:"5" min:"0" doc:"joins per user per minute; 0: unlimited, refused in production"`
	Typing   int `env:"LIMIT_TYPING" envDefault:"120" production:"60" test:"20" min:"0" doc:"typing events per user per minute; 0: unlimited, refused in production"`
}

// Validate refuses to switch a limit off in production.
func (l Limits) Validate(e Env) []Problem {
	if e != Production {
		return nil
	}
	var found []Problem
	for _, limit := range []struct {
		name  string
		value int
		usual string
	}{{"LIMIT_MESSAGES", l.Messages, "30"}, {"LIMIT_JOINS", l.Joins, "10"}, {"LIMIT_TYPING", l.Typing, "60"}} {
		if limit.value == 0 {
			found = append(found, Bad(limit.name, "must not be unlimited in production", limit.usual))
		}
	}
	return found
}

// Origins is the policy for web pages, for the services that answer browsers.
type Origins struct {
	AllowedOrigins origin.List `env:"ALLOWED_ORIGINS" envDefault:"*" production:"" example:"https://chat.example.com, https://*.example.com" doc:"web origins whose pages may connect, comma separated, as browsers send them: https://chat.example.com, http://localhost:5173 (scheme and port count, default ports may be left out, non-ASCII hosts in punycode, no trailing dot or path), https://*.example.com (exactly one more label), null (pages without an origin), * (all but null; refused in production); empty: none"`
}

// Validate refuses * in production.
func (o Origins) Validate(e Env) []Problem {
	if e == Production && o.AllowedOrigins.Any() {
		return []Problem{Bad("ALLOWED_ORIGINS", "must not be * in production", "https://chat.example.com, https://*.example.com")}
	}
	return nil
}
