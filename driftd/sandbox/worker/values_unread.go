package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
)

const (
	maxUnread = 20
	maxBeside = 200
)

// unreadValue is a value that Git gives to a chart which no template reads. Its key is that of the
// outermost name which the chart does not know.
type unreadValue struct {
	valuePlace
	// Beside are the names that the chart's own values have in the same place.
	Beside []string `json:"beside"`
	// Elsewhere is where the chart's own values have the name, if that is one place near by: mostly
	// that is where a block belongs which is indented too deep, or too little.
	Elsewhere string `json:"elsewhere"`
	// Subcharts are the places below names of subcharts where it was probably meant.
	Subcharts []string `json:"subcharts"`
	// Own says that the chart's own values have it, which all share that use the chart.
	Own bool `json:"own"`
	// Loose says that a template may print it with all that stands beside it: then Beside are
	// names that other items of the list have, and this one has not.
	Loose bool `json:"loose"`
	// Digest tells two values apart without giving them away.
	Digest string `json:"digest"`
	// Proven says that the same is rendered without it; what cannot be rendered proves nothing.
	Proven bool `json:"proven"`
}

// unreadValues answers with the values that a chart is given in vain: the chart's own values have
// no such name, no template speaks of it, and without it the same objects are rendered. Where
// nothing can be rendered, the last is not known.
func (s *server) unreadValues(params json.RawMessage) ([]byte, error) {
	tracing, isHelm, err := s.tracing(params)
	if err != nil {
		return nil, err
	}
	found := []unreadValue{}
	if isHelm {
		if found, err = tracing.unread(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(map[string]any{"values": found})
}

func (t *tracer) unread() ([]unreadValue, error) {
	finder := &unreadFinder{subcharts: map[string]bool{}, places: map[string]bool{}, imported: map[string]bool{}, aliases: map[string][]string{}}
	if err := t.learn(finder); err != nil {
		return nil, err
	}
	var given map[string]any
	documents, err := t.render(&valueProbe{change: func(loaded *chart.Chart, values map[string]any) {
		given = cloneMaps(values)
		if len(t.valuesFiles()) > 0 {
			given = united(given, cloneMaps(loaded.Values))
		}
		texts := templateTexts(nil, []any{given, finder.own, finder.known})
		finder.addActions(strings.Join(texts, "\n"))
		finder.reads = followTemplates(loaded, texts)
		finder.walkRoot(given)
	}})
	unread := finder.found
	if err != nil && len(unread) == 0 {
		return nil, err
	}
	if err == nil {
		unread = t.inVain(unread, documents)
	}
	all := united(given, finder.own)
	found := []unreadValue{}
	for _, one := range unread {
		one.Proven = err == nil
		value := valueAt(all, one.path)
		one.Digest = digestOf(value)
		one.Key = keyOf(one.path)
		if len(one.path) == 1 && one.Elsewhere == "" {
			one.Subcharts = finder.meant(one.path[0].(string), all)
		}
		if place := t.placeOfAll(one.path, value); place != nil {
			if t.isAnchored(place, one.path) {
				continue
			}
			one.File, one.Line, one.Ref, one.AtHome = place.File, place.Line, place.Ref, place.AtHome
		}
		found = append(found, one.unreadValue)
	}
	return found, nil
}

// placeOfAll is where a value is given: its own line where one place gives all of it, else that of
// the first scalar in it, else that of its name in the strongest place that has it.
func (t *tracer) placeOfAll(path []any, value any) *valuePlace {
	var tried []*leaf
	if leaves := leavesOf(map[string]any{"": value}); len(leaves) > 0 {
		tried = append(tried, leaves[len(leaves)-1], leaves[0])
	}
	for _, one := range append(tried, &leaf{path: []any{""}, named: true}) {
		located := *one
		located.path = slices.Concat(path, one.path[1:])
		located.key = keyOf(located.path)
		if place := t.placeOf(&located); place != nil {
			return place
		}
	}
	return nil
}

// inVain are those without which the same is rendered; where that is not so of all together, of
// each alone.
func (t *tracer) inVain(candidates []*unreadCandidate, documents map[string]document) []*unreadCandidate {
	if len(candidates) == 0 || t.sameWithout(candidates, documents) {
		return candidates
	}
	if len(candidates) == 1 {
		return nil
	}
	return slices.DeleteFunc(candidates, func(one *unreadCandidate) bool {
		return !t.sameWithout([]*unreadCandidate{one}, documents)
	})
}

func (t *tracer) sameWithout(candidates []*unreadCandidate, documents map[string]document) bool {
	again, err := t.render(&valueProbe{change: func(loaded *chart.Chart, values map[string]any) {
		for _, one := range candidates {
			remove(values, one.path)
			remove(loaded.Values, one.path)
		}
	}})
	return err == nil && maps.EqualFunc(documents, again, func(one, other document) bool {
		return bytes.Equal(one.raw, other.raw)
	})
}

func remove(values map[string]any, path []any) {
	name := path[0].(string)
	if value, there := values[name]; len(path) == 1 {
		delete(values, name)
	} else if there {
		values[name] = without(value, path[1:])
	}
}

type unreadCandidate struct {
	unreadValue
	path []any
}

// unreadFinder looks for names that a chart's values and templates do not have.
type unreadFinder struct {
	// subcharts are the names that values of subcharts stand below.
	subcharts map[string]bool
	// places are the keys of where those names stand, each below the chart that has the subchart.
	places map[string]bool
	// below are the names of the chart's own subcharts.
	below []string
	// imported are the places below them that the chart takes over.
	imported map[string]bool
	// aliases are by the name of a subchart what it is called instead.
	aliases map[string][]string
	actions []string
	// own are the chart's own values, known those and what its subcharts have.
	own, known map[string]any
	// reads are the places that templates read, nil where they cannot be followed.
	reads *valueReads
	found []*unreadCandidate
}

var (
	actionPattern  = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	commentPattern = regexp.MustCompile(`^\{\{-?\s*/\*`)
	// calledPattern is a template's name, which may well be that of a value ("app.image").
	calledPattern = regexp.MustCompile(`\b(include|template|define|block)\s+"[^"]*"`)
)

func (f *unreadFinder) addChart(loaded *chart.Chart, at ...any) {
	f.addDependencies(loaded, at)
	for _, one := range slices.Concat(loaded.Templates, loaded.Files) {
		f.addActions(string(one.Data))
	}
	for _, one := range loaded.Dependencies() {
		for _, name := range namesOf(loaded, one) {
			f.addChart(one, append(slices.Clone(at), name)...)
		}
	}
}

func (f *unreadFinder) addActions(text string) {
	for _, action := range actionPattern.FindAllString(text, -1) {
		if !commentPattern.MatchString(action) {
			f.actions = append(f.actions, calledPattern.ReplaceAllString(action, "$1"))
		}
	}
}

// walk compares what is given with the chart's own values. What stands in a place where those have
// a map without names is anybody's.
func (f *unreadFinder) walk(at []any, given, known map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		path := append(slices.Clone(at), name)
		value, isKnown := known[name]
		if !isKnown && (name == "global" || f.places[keyOf(path)]) || f.imported[keyOf(path)] {
			continue
		}
		if !isKnown && f.isUnread(at, name) {
			f.add(path, slices.Sorted(maps.Keys(known)))
			continue
		}
		switch inside := given[name].(type) {
		case map[string]any:
			if below, both := value.(map[string]any); both && len(below) > 0 {
				f.walk(path, inside, below)
			}
		case []any:
			f.walkItems(path, inside, value)
		}
	}
}

// walkItems compares the items of a list with one another and with those of the chart's own list.
func (f *unreadFinder) walkItems(at []any, given []any, known any) {
	names := map[string]int{}
	listed, _ := known.([]any)
	for _, item := range slices.Concat(given, listed) {
		inside, _ := item.(map[string]any)
		for name := range inside {
			names[name]++
		}
	}
	for i, item := range given {
		inside, _ := item.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(inside)) {
			loose := f.mentionsOfItem(at, name)
			if loose && f.isNamed(name) {
				continue
			}
			others := slices.Sorted(maps.Keys(names))
			if loose {
				others = slices.Compact(slices.Sorted(slices.Values(append(others, f.fields()...))))
			}
			beside := slices.DeleteFunc(others, func(other string) bool {
				_, has := inside[other]
				return other == name || loose && (has || !isSlip(name, other))
			})
			if loose && len(beside) == 0 {
				continue
			}
			if one := f.add(append(slices.Clone(at), i, name), beside); one != nil {
				one.Loose = loose
			}
		}
	}
}

// isNamed says whether a template speaks of a name at all.
func (f *unreadFinder) isNamed(name string) bool {
	field := regexp.MustCompile(`[."\x60]` + regexp.QuoteMeta(name) + `(?:[^\w-]|$)`)
	return slices.ContainsFunc(f.actions, field.MatchString)
}

var fieldPattern = regexp.MustCompile(`\.([A-Za-z_]\w*)`)

// fields are the names that templates take from something.
func (f *unreadFinder) fields() []string {
	var names []string
	for _, action := range f.actions {
		for _, found := range fieldPattern.FindAllStringSubmatch(action, -1) {
			names = append(names, found[1])
		}
	}
	return names
}

// isSlip says whether a name is nearly another one: one letter or two neighbours are otherwise, of
// long names two.
func isSlip(name, other string) bool {
	allowed := 1
	if len(name) >= 8 {
		allowed = 2
	}
	return len(name) >= 4 && edits([]rune(name), []rune(other)) <= allowed
}

// edits are the letters to add, drop, change or swap with their neighbour that make one text of
// another (optimal string alignment).
func edits(one, other []rune) int {
	rows := make([][]int, len(one)+1)
	for i := range rows {
		rows[i] = make([]int, len(other)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(one); i++ {
		for j := 1; j <= len(other); j++ {
			changed := 0
			if one[i-1] != other[j-1] {
				changed = 1
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+changed)
			if i > 1 && j > 1 && one[i-1] == other[j-2] && one[i-2] == other[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(one)][len(other)]
}

// add takes a candidate, and answers nil where there are too many.
func (f *unreadFinder) add(path []any, beside []string) *unreadCandidate {
	if len(f.found) >= maxUnread && (len(path) != 1 || len(f.found) >= 2*maxUnread) {
		return nil
	}
	beside = append([]string{}, beside[:min(len(beside), maxBeside)]...) // never null in JSON
	one := unreadValue{Beside: beside, Elsewhere: f.elsewhere(path), Subcharts: []string{}, Own: f.isOwn(path)}
	found := &unreadCandidate{one, path}
	f.found = append(f.found, found)
	return found
}

func (f *unreadFinder) isOwn(path []any) bool {
	above, _ := valueAt(f.own, path[:len(path)-1]).(map[string]any)
	name, _ := path[len(path)-1].(string)
	_, there := above[name]
	return there
}

// elsewhere looks for a name further out, the nearest first, then in what stands beside it.
func (f *unreadFinder) elsewhere(path []any) string {
	name, at := path[len(path)-1].(string), path[:len(path)-1]
	for out := len(at) - 1; out >= 0; out-- {
		if around, isMap := valueAt(f.known, at[:out]).(map[string]any); isMap {
			if _, there := around[name]; there {
				return keyOf(append(slices.Clone(at[:out]), name))
			}
		}
	}
	around, _ := valueAt(f.known, at).(map[string]any)
	inside := []string{}
	for beside, value := range around {
		if below, isMap := value.(map[string]any); isMap && !f.subcharts[beside] {
			if _, there := below[name]; there {
				inside = append(inside, keyOf(append(slices.Clone(at), beside, name)))
			}
		}
	}
	if len(inside) != 1 {
		return ""
	}
	return inside[0]
}

// opened are functions that take a map as a whole, with whatever is in it.
var opened = regexp.MustCompile(`\b(toYaml|toJson|toPrettyJson|toRawJson|toToml|range|tpl|include|template|dict|merge\w*|mustMerge\w*|deepCopy|pick|omit|values|keys|list|concat|get|hasKey|index|dig)\b`)

// picked is how a template takes one name from all values, which it then has in quotes.
var picked = regexp.MustCompile("\\b(index|get|hasKey)\\s+\\$?\\.Values\\s+[\"`]")

// varied is how a template takes a name that it works out.
var varied = regexp.MustCompile("\\b(index|get|hasKey)\\s+\\$?\\.Values\\s+[^\"`\\s]")

// absolute is a place that a template reads from the root of the values: it says all of where it is.
var absolute = regexp.MustCompile(`\bValues(?:\.\w+)+`)

// isUnread says whether no template reads a name: none does that is followed, or none speaks of it.
func (f *unreadFinder) isUnread(at []any, name string) bool {
	if f.reads != nil && !f.reads.has(append(slices.Clone(at), name)) {
		return true
	}
	return !f.mentions(at, name)
}

// mentions says whether a template may read a name that stands in a place of the values, also in a
// part that is not rendered now. A name that a template reads elsewhere from the root of the values
// is none: a block that stands in a wrong place has the names of its right one.
func (f *unreadFinder) mentions(at []any, name string) bool {
	const end = `(?:[^\w-]|$)`
	parents, above := parentsOf(at, f.subcharts)
	quoted := regexp.QuoteMeta(name)
	own := regexp.MustCompile(`\b(?:` + parents + `)\.` + quoted + end)
	field := regexp.MustCompile(`\.` + quoted + end)
	text := regexp.MustCompile("[\"`](?:[\\w-]+\\.)*" + quoted + "(?:\\.[\\w-]+)*[\"`]")
	whole := regexp.MustCompile(`\b(?:` + parents + `)(?:[^\w.-]|$)`)
	outer := regexp.MustCompile(`\b(?:` + above + `)(?:[^\w.-]|$)`)
	taken, named := false, false
	for _, action := range f.actions {
		if own.MatchString(action) || text.MatchString(action) {
			return true
		}
		if strings.HasPrefix(parents, "Values") && varied.MatchString(action) {
			return true
		}
		named = named || field.MatchString(absolute.ReplaceAllString(action, ""))
		action = picked.ReplaceAllString(action, "")
		if whole.MatchString(action) {
			if !strings.HasPrefix(parents, "Values") && opened.MatchString(action) {
				return true
			}
			taken = true
		}
		taken = taken || outer.MatchString(action)
	}
	return taken && named
}

// parentsOf are patterns of how a template may call what a name stands in, and what that stands in.
// Templates of a subchart have the values below its name as all of theirs.
func parentsOf(at []any, subcharts map[string]bool) (parents, above string) {
	names := []string{"Values"}
	for _, step := range at {
		if name, isName := step.(string); isName {
			names = append(names, regexp.QuoteMeta(name))
		}
	}
	last := len(names) - 1
	if last == 0 {
		return "Values", "Values"
	}
	parents = names[last]
	if name, _ := at[len(at)-1].(string); subcharts[name] {
		parents = "Values|" + parents
	}
	return parents, strings.Join(names[:last], "|")
}

// printed are functions that print a map as a whole, of whatever is at hand in a loop.
var printed = regexp.MustCompile(`\b(to(Yaml|Json|PrettyJson|RawJson|Toml)|range\s.*:=)\s+(\.|\$\w+)(\W|$)`)

// mentionsOfItem says whether a template may read a name that items of a list have.
func (f *unreadFinder) mentionsOfItem(at []any, name string) bool {
	if f.isNamed(name) {
		return true
	}
	last, _ := at[len(at)-1].(string)
	whole := regexp.MustCompile(`\b` + regexp.QuoteMeta(last) + `(?:[^\w.-]|$)`)
	for _, action := range f.actions {
		if printed.MatchString(action) {
			return true
		}
		if whole.MatchString(action) && opened.MatchString(looped.ReplaceAllString(action, "")) {
			return true
		}
	}
	return false
}

// looped is how a template goes through a list, whose items it takes apart then.
var looped = regexp.MustCompile(`\brange\b`)

// cloneMaps copies the maps of values, and nothing else of them.
func cloneMaps(values map[string]any) map[string]any {
	copied := maps.Clone(values)
	for name, value := range copied {
		if inside, isMap := value.(map[string]any); isMap {
			copied[name] = cloneMaps(inside)
		}
	}
	return copied
}

// without is a value without what stands at a path in it; what leads there is copied.
func without(value any, path []any) any {
	switch step := path[0].(type) {
	case string:
		inside, isMap := value.(map[string]any)
		if !isMap {
			return value
		}
		copied := maps.Clone(inside)
		if len(path) == 1 {
			delete(copied, step)
		} else if below, there := copied[step]; there {
			copied[step] = without(below, path[1:])
		}
		return copied
	case int:
		list, isList := value.([]any)
		if !isList || step >= len(list) || len(path) == 1 {
			return value
		}
		copied := slices.Clone(list)
		copied[step] = without(list[step], path[1:])
		return copied
	}
	return value
}
