package main

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const (
	maxTrials      = 24
	maxTrialsField = 8
	maxTraced      = 500
	maxTraceTime   = 4 * time.Second
)

// valuePlace is where Git sets a value of a chart. Without a line it is the whole file.
type valuePlace struct {
	// Ref names the source with the file; empty for the source's own tree.
	Ref  string `json:"ref,omitempty"`
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	// AtHome says that the file lies in the tree of the home document.
	AtHome bool `json:"atHome,omitempty"`
	// Key is how the values of the whole chart write it.
	Key string `json:"key"`
	// Written is how a number is written that is read as Number, another text.
	Written string `json:"written,omitempty"`
	Number  string `json:"number,omitempty"`
}

// valueProbe sees the values of a rendering before its dependencies are worked out, where it may
// change them, and all values together after that.
type valueProbe struct {
	change func(loaded *chart.Chart, values map[string]any)
	seen   func(loaded *chart.Chart, values map[string]any) error
}

// withDependencies does what Helm does with a chart's dependencies before it renders.
func (p *renderParams) withDependencies(loaded *chart.Chart, values map[string]any) error {
	if p.probe == nil {
		return chartutil.ProcessDependencies(loaded, values)
	}
	if p.probe.change != nil {
		p.probe.change(loaded, values)
	}
	if err := chartutil.ProcessDependencies(loaded, values); err != nil || p.probe.seen == nil {
		return err
	}
	return p.probe.seen(loaded, values)
}

type traceParams struct {
	renderParams
	Home    homeDocument  `json:"home"`
	Objects []traceObject `json:"objects"`
}

// traceObject is one rendered object, with the places in it that are asked for and what the
// cluster has there; null where that is not known, or nothing.
type traceObject struct {
	Object json.RawMessage   `json:"object"`
	Paths  []string          `json:"paths"`
	Live   []json.RawMessage `json:"live"`
}

// traceValues answers, for each path of each object that a chart renders, with the values that
// decide it. A value decides a field if rendering once more with another value puts that one in
// the field, where it stood before.
func (s *server) traceValues(params json.RawMessage) ([]byte, error) {
	tracing, isHelm, err := s.tracing(params)
	if err != nil {
		return nil, err
	}
	answer := make([][][]valuePlace, len(tracing.params.Objects))
	for i, object := range tracing.params.Objects {
		answer[i] = make([][]valuePlace, len(object.Paths))
		for j := range object.Paths {
			answer[i][j] = []valuePlace{}
		}
	}
	if isHelm {
		if err := tracing.run(answer); err != nil {
			return nil, err
		}
	}
	return json.Marshal(map[string]any{"values": answer, "renderings": tracing.renderings})
}

// tracing reads the parameters of a question about values, and says whether a chart is asked.
func (s *server) tracing(params json.RawMessage) (*tracer, bool, error) {
	var p traceParams
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, false, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	t, err := s.trees.get(p.Tree)
	if err != nil {
		return nil, false, err
	}
	if err := p.loadSource(t); err != nil {
		return nil, false, err
	}
	isHelm, err := p.isHelm(t)
	return &tracer{server: s, params: &p, tree: t, until: time.Now().Add(maxTraceTime)}, isHelm, err
}

func (p *renderParams) isHelm(t *tree) (bool, error) {
	if p.Flux != nil {
		return p.Flux.HelmRelease != nil, nil
	}
	kind, err := p.sourceType(t)
	return kind == typeHelm, err
}

// tracer asks for the values behind the fields of one source.
type tracer struct {
	server     *server
	params     *traceParams
	tree       *tree
	until      time.Time
	renderings int
	fields     []*tracedField
	// places keeps where each value was found.
	places map[string]*valuePlace
	// overlay leads to the lines of a home document that is rendered through kustomizations.
	overlay *homeOverlay
}

// tracedField is one field that is asked for.
type tracedField struct {
	object, path int
	identity     string
	steps        []step
	// placed are the steps by position, for a value that decides the key of an item.
	placed     []placedStep
	secret     bool
	git, live  scalars
	candidates []*candidate
	decided    []*candidate
}

// candidate is a value that may decide a field.
type candidate struct {
	*leaf
	rank []int
}

func (t *tracer) run(answer [][][]valuePlace) error {
	var leaves []*leaf
	var all map[string]any
	documents, err := t.render(&valueProbe{seen: func(loaded *chart.Chart, values map[string]any) error {
		merged, err := util.CoalesceValues(loaded, values)
		if err == nil {
			all = merged
			leaves = leavesOf(merged)
		}
		return err
	}})
	if err != nil {
		return err
	}
	t.ask(documents)
	for _, field := range t.fields {
		field.choose(leaves, scopeOf(strings.TrimPrefix(documents[field.identity].file, t.params.dir())))
	}
	t.try(all)
	for _, field := range t.fields {
		slices.SortStableFunc(field.decided, func(one, other *candidate) int { return slices.Compare(one.rank, other.rank) })
		found := []valuePlace{}
		for _, one := range field.named() {
			place := t.placeOf(one.leaf)
			if place == nil {
				// Half of the places would send people to the wrong one.
				found = []valuePlace{}
				break
			}
			found = append(found, *place)
		}
		answer[field.object][field.path] = found
	}
	return nil
}

// render is one rendering, its objects by what they are; those that are there twice are left out.
func (t *tracer) render(probe *valueProbe) (map[string]document, error) {
	t.renderings++
	again := t.params.renderParams
	again.probe, again.unstable = probe, unstableFunctions{}
	result, _, err := t.server.renderSource(&again, t.tree)
	if err != nil {
		return nil, err
	}
	if result.documents, err = expandLists(result.documents); err != nil {
		return nil, err
	}
	found := map[string]document{}
	twice := map[string]bool{}
	for _, doc := range result.documents {
		identity := t.identityOf(parseJSONNode(doc.raw))
		_, before := found[identity]
		twice[identity] = before
		found[identity] = doc
	}
	for identity, several := range twice {
		if several {
			delete(found, identity)
		}
	}
	return found, nil
}

// identityOf is what an object is: one without namespace lies in that of the destination, or in
// none.
func (t *tracer) identityOf(root *yaml.Node) string {
	namespace := firstOf(textOf(root, "metadata", "namespace"), t.params.Application.DestinationNamespace)
	return strings.Join([]string{groupOf(root), textOf(root, "kind"), namespace, textOf(root, "metadata", "name")}, "\x00")
}

// ask takes the fields that the rendering has, with what the cluster has there.
func (t *tracer) ask(documents map[string]document) {
	for i, object := range t.params.Objects {
		asked := parseJSONNode(object.Object)
		identity := t.identityOf(asked)
		doc, there := documents[identity]
		if !there {
			continue
		}
		root := parseJSONNode(doc.raw)
		for j, text := range object.Paths {
			field := &tracedField{object: i, path: j, identity: identity, steps: parseSteps(text)}
			field.secret = textOf(root, "kind") == "Secret" && memberOf(root, "data") != nil && field.steps[0].field == "data"
			if field.git = field.read(root); field.git == nil || len(t.fields) >= maxTraced {
				continue
			}
			field.placed = placedIn(root, field.steps)
			if j < len(object.Live) && present(object.Live[j]) {
				field.live = scalarsOf(parseJSONNode(object.Live[j]), false)
			}
			t.fields = append(t.fields, field)
		}
	}
}

func (f *tracedField) read(root *yaml.Node) scalars {
	found := walkNode(root, f.steps)
	if found.depth != len(f.steps) || found.depth == 0 {
		if found.value = walkPlaced(root, f.placed); found.value == nil {
			return nil
		}
	}
	return scalarsOf(found.value, f.secret)
}

// placedStep is a step with the length of the list that it goes into, 0 where it is none.
type placedStep struct {
	step
	of int
}

// placedIn are steps that name items by position; none where no item is named by a key.
func placedIn(root *yaml.Node, steps []step) []placedStep {
	at, keyed := resolveAlias(root), false
	var placed []placedStep
	for _, one := range steps {
		now := placedStep{step: one}
		if one.kind == 'k' {
			now.step, now.of = step{kind: 'i', index: one.position(at)}, len(itemsOf(at))
			keyed = true
		}
		if _, at = stepInto(at, one); at == nil {
			return nil
		}
		placed = append(placed, now)
	}
	if !keyed {
		return nil
	}
	return placed
}

// walkPlaced is what steps lead to where the lists on the way are as long as they were.
func walkPlaced(root *yaml.Node, steps []placedStep) *yaml.Node {
	at := resolveAlias(root)
	for _, one := range steps {
		if at == nil || one.of > 0 && len(itemsOf(at)) != one.of {
			return nil
		}
		_, at = stepInto(at, one.step)
	}
	if len(steps) == 0 {
		return nil
	}
	return at
}

// try renders with each candidate changed, the best one of every field first. A rendering that
// fails says nothing.
func (t *tracer) try(all map[string]any) {
	changed := map[string]map[string]document{}
	for rank := range maxTrialsField {
		for _, field := range t.fields {
			if rank >= len(field.candidates) {
				continue
			}
			one := field.candidates[rank]
			trial := one.key + "\x00" + one.first.text
			documents, known := changed[trial]
			if !known {
				if t.renderings > maxTrials || time.Now().After(t.until) {
					continue
				}
				documents, _ = t.render(&valueProbe{change: func(_ *chart.Chart, values map[string]any) { one.put(values, all) }})
				changed[trial] = documents
			}
			doc, there := documents[field.identity]
			if there && field.decidedBy(one.leaf, field.read(parseJSONNode(doc.raw))) {
				field.decided = append(field.decided, one)
			}
		}
	}
}

// named are the values that decide the field; of a list or map the values in it that do.
func (f *tracedField) named() []*candidate {
	return slices.DeleteFunc(slices.Clone(f.decided), func(one *candidate) bool {
		return one.whole != nil && slices.ContainsFunc(f.decided, func(other *candidate) bool {
			return len(other.path) > len(one.path) && slices.Equal(other.path[:len(one.path)], one.path)
		})
	})
}
