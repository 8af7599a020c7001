package config

import (
	"net/url"
	"slices"
	"strings"
)

// Limits are the limits per user and minute, for the services that decide by them.
type Limits struct {
	Messages int `env:"LIMIT_MESSAGES" envDefault:"60" production:"30" test:"10" min:"0" doc:"messages per user and minute; 0: unlimited, refused in production"`
	Joins    int `env:"LIMIT_JOINS" envDefault:"20" production:"10" test:"5" min:"0" doc:"joins per user and minute; 0: unlimited, refused in production"`
	Typing   int `env:"LIMIT_TYPING" envDefault:"120" production:"60" test:"20" min:"0" doc:"typing events per user and minute; 0: unlimited, refused in production"`
}

// Validate refuses unlimited users in production.
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

// Origins are the web origins that browsers may come from, for the services that
// answer browsers.
type Origins struct {
	AllowedOrigins []string `env:"ALLOWED_ORIGINS" envDefault:"*" production:"" example:"https://chat.example.com, https://*.example.com" doc:"web origins, comma separated; *: all, refused in production; empty: none"`
}

// Validate refuses * in production, and what can match no Origin header.
func (o Origins) Validate(e Env) []Problem {
	const example = "https://chat.example.com, https://*.example.com"
	if e == Production && slices.Contains(o.AllowedOrigins, "*") {
		return []Problem{Bad("ALLOWED_ORIGINS", "must not be * in production", example)}
	}
	for _, origin := range o.AllowedOrigins {
		if !validOrigin(origin) {
			return []Problem{Bad("ALLOWED_ORIGINS", "must be origins: scheme, host, port, and nothing behind", example)}
		}
	}
	return nil
}

// validOrigin accepts *, null, and scheme://host[:port], where host may start with
// one wildcard label.
func validOrigin(origin string) bool {
	if origin == "*" || origin == "null" {
		return true
	}
	u, err := url.Parse(strings.Replace(origin, "://*.", "://", 1))
	return err == nil && u.Scheme != "" && u.Hostname() != "" && !strings.Contains(u.Host, "*") &&
		u.Path == "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil && !strings.HasSuffix(origin, "?") && !strings.HasSuffix(origin, "#")
}
