package main

import (
	"path"
	"strings"

	"github.com/gobwas/glob"
)

const sourceIgnore = ".sourceignore"

// defaultIgnores are what source-controller leaves out of every artifact: files of version
// control, of continuous integration, and media.
const defaultIgnores = `.git/
.gitignore
.gitmodules
.gitattributes
*.jpg
*.jpeg
*.gif
*.png
*.wmv
*.flv
*.tar.gz
*.zip
.github/
.circleci/
.travis.yml
.gitlab-ci.yml
appveyor.yml
.drone.yml
cloudbuild.yaml
codeship-services.yml
codeship-steps.yml
**/.goreleaser.yml
**/.sops.yaml
**/.flux.yaml
`

// ignoreRule is one line of a .sourceignore file, which is written like a .gitignore.
type ignoreRule struct {
	below    string
	pattern  glob.Glob
	negated  bool
	dirsOnly bool
	anywhere bool
}

// ignoreRules decide by the last rule that matches.
type ignoreRules []ignoreRule

// newIgnoreRules reads the rules of a source: `spec.ignore` (which replaces the default ones)
// and the .sourceignore files of the repository.
func newIgnoreRules(t *tree, ignore *string) (ignoreRules, error) {
	var rules ignoreRules
	text := defaultIgnores
	if ignore != nil {
		text = *ignore
	}
	if err := rules.add("", text, "spec.ignore"); err != nil {
		return nil, err
	}
	err := t.walk("", &walker{
		enter: func(string) bool { return true },
		wants: func(name string) bool { return path.Base(name) == sourceIgnore },
		visit: func(name string, data []byte) error {
			dir, _ := splitPath(name)
			return rules.add(dir, string(data), name)
		},
	})
	return rules, err
}

func (r *ignoreRules) add(below, text, where string) error {
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		rule := ignoreRule{below: below}
		line, rule.negated = strings.CutPrefix(line, "!")
		line, rule.dirsOnly = strings.CutSuffix(line, "/")
		rule.anywhere = !strings.Contains(line, "/")
		pattern, err := glob.Compile(strings.TrimPrefix(line, "/"), '/')
		if err != nil {
			return fail(codeInvalidSource, where, "%s: invalid pattern %q: %s", where, line, err)
		}
		// In gitignore "**/x" also means "x" itself.
		if rest, deep := strings.CutPrefix(line, "**/"); deep && !strings.Contains(rest, "/") {
			rule.anywhere = true
			if pattern, err = glob.Compile(rest, '/'); err != nil {
				return fail(codeInvalidSource, where, "%s: invalid pattern %q: %s", where, line, err)
			}
		}
		rule.pattern = pattern
		*r = append(*r, rule)
	}
	return nil
}

// ignores says whether a path of the repository is left out, itself or with a directory above.
func (r ignoreRules) ignores(name string, isDir bool) bool {
	parts := strings.Split(name, "/")
	for depth := 1; depth <= len(parts); depth++ {
		if r.matches(strings.Join(parts[:depth], "/"), isDir || depth < len(parts)) {
			return true
		}
	}
	return false
}

func (r ignoreRules) matches(name string, isDir bool) bool {
	ignored := false
	for _, rule := range r {
		relative := name
		if rule.below != "" {
			rest, inside := strings.CutPrefix(name, rule.below+"/")
			if !inside {
				continue
			}
			relative = rest
		}
		if rule.dirsOnly && !isDir {
			continue
		}
		if rule.anywhere {
			relative = path.Base(relative)
		}
		if rule.pattern.Match(relative) {
			ignored = !rule.negated
		}
	}
	return ignored
}
