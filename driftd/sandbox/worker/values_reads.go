package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	chart "helm.sh/helm/v4/pkg/chart/v2"
)

const (
	maxReadSteps   = 200_000
	maxReadNesting = 60
	// otherwise is what a map has besides its members, and subcharts what a root has of them.
	otherwise = "\x00otherwise"
	subcharts = "\x00subcharts"
)

// valueReads are the places of a chart's values that its templates read, whatever is rendered: the
// templates are followed with values of which nothing is known but where they stand. Whatever
// takes a value in a way that cannot be followed reads all of it.
type valueReads struct {
	defined map[string][]*parse.Tree
	called  map[string]bool
	nodes   map[string]*readNode
	// changed counts how often a variable, or a map in one, is made another one.
	changed int
	steps   int
	nesting int
	failed  bool
}

// readNode is a place that is read: as a whole, or what is in it.
type readNode struct {
	whole bool
	below map[string]*readNode
}

// origin is where a value of a template may come from. Exactly one is set; a value from nowhere
// else, a constant or a text that was made, has none.
type origin struct {
	// place is a place in the values.
	place []string
	// root is what a template of the chart at a place is given.
	root []string
	// members are those of a map or list that a template makes.
	members map[string][]origin
}

func (o origin) key() string {
	switch {
	case o.root != nil:
		return "r" + strings.Join(o.root, "\x00")
	case o.members != nil:
		var text strings.Builder
		for _, name := range slices.Sorted(maps.Keys(o.members)) {
			fmt.Fprintf(&text, "%q:%s,", name, keyOfAll(o.members[name]))
		}
		return "{" + text.String() + "}"
	}
	return "p" + strings.Join(o.place, "\x00")
}

func keyOfAll(values []origin) string {
	keys := make([]string, len(values))
	for i, one := range values {
		keys[i] = one.key()
	}
	slices.Sort(keys)
	return strings.Join(slices.Compact(keys), "|")
}

// followTemplates follows all templates of a chart and its subcharts; nil where one of them cannot be read.
// Texts of values may be templates themselves.
func followTemplates(loaded *chart.Chart, values []string) *valueReads {
	r := &valueReads{defined: map[string][]*parse.Tree{}, called: map[string]bool{}}
	r.nodes = map[string]*readNode{"": {below: map[string]*readNode{}}}
	var texts []*parse.Tree
	for i, text := range values {
		// What cannot be read is a template of another program, such as one of alerts.
		texts = append(texts, r.parseMaybe(fmt.Sprintf("value %d", i), text)...)
	}
	var follow []func()
	r.addChart(loaded, []string{}, texts, &follow)
	for _, one := range follow {
		one()
	}
	if r.failed || r.steps > maxReadSteps {
		return nil
	}
	return r
}

func (r *valueReads) addChart(loaded *chart.Chart, at []string, texts []*parse.Tree, follow *[]func()) {
	texts = slices.Clone(texts)
	for _, one := range loaded.Files {
		if strings.Contains(string(one.Data), "{{") && !strings.HasPrefix(one.Name, "README") {
			// What is no template, but only looks like one, is not rendered as one either.
			texts = append(texts, r.parseMaybe(one.Name, string(one.Data))...)
		}
	}
	run := func(trees []*parse.Tree) {
		*follow = append(*follow, func() {
			for _, tree := range trees {
				r.run(tree, []origin{{root: at}})
			}
		})
	}
	run(texts)
	for _, one := range loaded.Templates {
		trees := r.parse(strings.Join(at, "/")+"/"+one.Name, string(one.Data))
		if trees == nil {
			r.failed = true
			return
		}
		if !strings.HasPrefix(path.Base(one.Name), "_") && loaded.Metadata.Type != "library" {
			run(trees)
		}
	}
	for _, one := range loaded.Dependencies() {
		for _, name := range namesOf(loaded, one) {
			r.addChart(one, append(slices.Clone(at), name), texts, follow)
		}
	}
}

// templateTexts are the texts of values that look like templates.
func templateTexts(found []string, value any) []string {
	switch value := value.(type) {
	case string:
		if strings.Contains(value, "{{") {
			found = append(found, value)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			found = templateTexts(found, value[name])
		}
	case []any:
		for _, one := range value {
			found = templateTexts(found, one)
		}
	}
	return found
}

// parse reads a template, takes what it defines, and answers with its own tree; nil if it is none.
func (r *valueReads) parse(name, text string) []*parse.Tree {
	trees := r.parseMaybe(name, text)
	r.failed = r.failed || trees == nil
	return trees
}

func (r *valueReads) parseMaybe(name, text string) []*parse.Tree {
	set := map[string]*parse.Tree{}
	tree := parse.New(name)
	tree.Mode = parse.SkipFuncCheck
	if _, err := tree.Parse(text, "", "", set); err != nil {
		return nil
	}
	for defined, one := range set {
		if defined != name {
			r.defined[defined] = append(r.defined[defined], one)
		}
	}
	if tree.Root == nil {
		return []*parse.Tree{}
	}
	return []*parse.Tree{tree}
}

// has says whether something at a place of the values, or around or in it, is read.
func (r *valueReads) has(at []any) bool {
	node := r.nodes[""]
	for _, step := range at {
		name, isName := step.(string)
		if node.whole || !isName {
			return true
		}
		below, there := node.below[name]
		if !there {
			return false
		}
		node = below
	}
	return true
}

func (r *valueReads) touch(values []origin, whole bool) {
	for _, one := range values {
		switch {
		case one.members != nil:
			if whole {
				for _, inside := range one.members {
					r.touch(inside, true)
				}
			}
		case one.root != nil:
			if whole {
				r.mark(one.root, true)
			}
		default:
			r.mark(one.place, whole)
		}
	}
}

func (r *valueReads) mark(at []string, whole bool) {
	node := r.nodes[""]
	for _, name := range at {
		below, there := node.below[name]
		if !there {
			below = &readNode{below: map[string]*readNode{}}
			node.below[name] = below
		}
		node = below
	}
	node.whole = node.whole || whole
}

// readScope are the variables of a template, the innermost last.
type readScope struct {
	names  []string
	values []*[]origin
}

func (s *readScope) set(name string, values []origin, declare bool) {
	if !declare {
		if i := s.find(name); i >= 0 {
			*s.values[i] = joined(*s.values[i], values)
			return
		}
	}
	s.names = append(s.names, name)
	s.values = append(s.values, &values)
}

func (s *readScope) find(name string) int {
	for i, known := range slices.Backward(s.names) {
		if known == name {
			return i
		}
	}
	return -1
}

func joined(one, other []origin) []origin {
	found := slices.Clone(one)
	for _, value := range other {
		key := value.key()
		if !slices.ContainsFunc(found, func(known origin) bool { return known.key() == key }) {
			found = append(found, value)
		}
	}
	return found
}

// run follows a template that is given a value, once for each value.
func (r *valueReads) run(tree *parse.Tree, dot []origin) {
	key := tree.ParseName + "\x00" + tree.Name + "\x00" + keyOfAll(dot)
	if r.called[key] || r.steps > maxReadSteps {
		return
	}
	if r.nesting > maxReadNesting {
		r.failed = true
		return
	}
	r.called[key] = true
	r.nesting++
	scope := &readScope{}
	scope.set("$", dot, true)
	r.list(tree.Root, dot, scope)
	r.nesting--
}

func (r *valueReads) list(list *parse.ListNode, dot []origin, scope *readScope) {
	if list == nil {
		return
	}
	depth := len(scope.names)
	for _, node := range list.Nodes {
		if r.steps++; r.steps > maxReadSteps {
			return
		}
		switch node := node.(type) {
		case *parse.ActionNode:
			r.touch(r.pipe(node.Pipe, dot, scope), len(node.Pipe.Decl) == 0)
		case *parse.TemplateNode:
			r.call(node.Name, r.pipe(node.Pipe, dot, scope))
		case *parse.IfNode:
			r.branch(&node.BranchNode, dot, scope)
		case *parse.WithNode:
			r.branch(&node.BranchNode, dot, scope)
		case *parse.RangeNode:
			r.branch(&node.BranchNode, dot, scope)
		}
	}
	scope.names, scope.values = scope.names[:depth], scope.values[:depth]
}

func (r *valueReads) branch(node *parse.BranchNode, dot []origin, scope *readScope) {
	depth := len(scope.names)
	value := r.pipe(node.Pipe, dot, scope)
	r.touch(value, false)
	switch node.NodeType {
	case parse.NodeRange:
		var items []origin
		for _, one := range value {
			if one.members == nil {
				r.touch([]origin{one}, true)
			}
			for _, name := range slices.Sorted(maps.Keys(one.members)) {
				items = joined(items, one.members[name])
			}
		}
		for i := depth; i < len(scope.names); i++ {
			scope.values[i] = &items
		}
		// What a variable is set to, the next round may read before that.
		before := r.changed
		r.list(node.List, items, scope)
		if r.changed != before {
			r.list(node.List, items, scope)
		}
	case parse.NodeWith:
		r.list(node.List, value, scope)
	default:
		r.list(node.List, dot, scope)
	}
	r.list(node.ElseList, dot, scope)
	scope.names, scope.values = scope.names[:depth], scope.values[:depth]
}

func (r *valueReads) pipe(pipe *parse.PipeNode, dot []origin, scope *readScope) []origin {
	if pipe == nil {
		return nil
	}
	var value []origin
	for i, command := range pipe.Cmds {
		value = r.command(command, dot, scope, value, i > 0)
	}
	for _, one := range pipe.Decl {
		scope.set(one.Ident[0], value, !pipe.IsAssign)
		if pipe.IsAssign {
			r.changed++
		}
	}
	return value
}

// argument is what a function is given: a value, and the constant that is written there.
type argument struct {
	values   []origin
	constant string
	isText   bool
}

func (r *valueReads) command(node *parse.CommandNode, dot []origin, scope *readScope, piped []origin, isPiped bool) []origin {
	first := node.Args[0]
	name, isCall := first.(*parse.IdentifierNode)
	var args []argument
	for _, one := range node.Args[1:] {
		args = append(args, r.argument(one, dot, scope))
	}
	if isPiped {
		args = append(args, argument{values: piped})
	}
	if isCall {
		return r.function(name.Ident, args, node)
	}
	for _, one := range args {
		r.touch(one.values, true) // of a method
	}
	return r.argument(first, dot, scope).values
}

func (r *valueReads) argument(node parse.Node, dot []origin, scope *readScope) argument {
	switch node := node.(type) {
	case *parse.DotNode:
		return argument{values: dot}
	case *parse.FieldNode:
		return argument{values: r.fields(dot, node.Ident)}
	case *parse.VariableNode:
		if i := scope.find(node.Ident[0]); i >= 0 {
			return argument{values: r.fields(*scope.values[i], node.Ident[1:])}
		}
	case *parse.ChainNode:
		return argument{values: r.fields(r.argument(node.Node, dot, scope).values, node.Field)}
	case *parse.PipeNode:
		return argument{values: r.pipe(node, dot, scope)}
	case *parse.IdentifierNode:
		return argument{values: r.function(node.Ident, nil, nil)}
	case *parse.StringNode:
		return argument{constant: node.Text, isText: true}
	case *parse.NumberNode:
		if node.IsInt {
			return argument{constant: strconv.FormatInt(node.Int64, 10), isText: true}
		}
	}
	return argument{}
}

func (r *valueReads) fields(values []origin, names []string) []origin {
	for _, name := range names {
		var below []origin
		for _, one := range values {
			below = joined(below, fieldOf(one, name))
		}
		values = below
	}
	r.touch(values, false)
	return values
}

func fieldOf(one origin, name string) []origin {
	switch {
	case one.members != nil:
		found := one.members[name]
		for _, other := range one.members[otherwise] {
			found = joined(found, fieldOf(other, name))
		}
		return found
	case one.root != nil:
		switch name {
		case "Values":
			return []origin{{place: one.root}}
		case "Subcharts":
			return []origin{{place: append(slices.Clone(one.root), subcharts)}}
		}
		return nil
	}
	if last := len(one.place) - 1; last >= 0 && one.place[last] == subcharts {
		return []origin{{root: append(slices.Clone(one.place[:last]), name)}}
	}
	if name == "AsMap" {
		return []origin{one}
	}
	return []origin{{place: append(slices.Clone(one.place), name)}}
}

// call follows a template by its name.
func (r *valueReads) call(name string, dot []origin) {
	trees := r.defined[name]
	if len(trees) == 0 {
		r.touch(dot, true)
	}
	for _, tree := range trees {
		r.run(tree, dot)
	}
}

// function is what a function takes of its arguments, and what it gives on of them.
func (r *valueReads) function(name string, args []argument, node *parse.CommandNode) []origin {
	var all []origin
	for _, one := range args {
		all = joined(all, one.values)
	}
	switch name {
	case "default", "coalesce", "or", "and", "ternary", "required", "deepCopy", "mustDeepCopy":
		r.touch(all, false)
		return all
	case "not", "empty", "kindIs", "kindOf", "typeIs", "typeOf", "typeIsLike", "len":
		r.touch(all, false)
		return nil
	case "include":
		if r.include(args, node) {
			return nil
		}
	case "tpl":
		if len(args) == 2 {
			r.touch(args[0].values, true)
			isRoot := func(one origin) bool { return one.root != nil }
			r.touch(slices.DeleteFunc(slices.Clone(args[1].values), isRoot), true)
			return nil
		}
	case "set", "unset":
		for _, one := range args[min(1, len(args)):] {
			r.touch(one.values, true)
		}
		return all
	case "merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite":
		if len(args) > 0 {
			return r.merge(args, all)
		}
	case "dict", "list", "tuple":
		if members, ok := membersOf(name, args); ok {
			return []origin{{members: members}}
		}
	case "index", "get", "hasKey":
		if found, ok := r.picked(args[:min(1, len(args))], args[min(1, len(args)):]); ok {
			return found
		}
	case "dig":
		if last := len(args) - 1; last > 0 {
			if found, ok := r.picked(args[last:], args[:last-1]); ok {
				return joined(found, args[last-1].values)
			}
		}
	}
	r.touch(all, true)
	return nil
}

// merge is a map that has what all have, which the first one has from now on as well.
func (r *valueReads) merge(args []argument, all []origin) []origin {
	r.changed++
	isMade := func(one origin) bool { return one.members != nil || one.root != nil }
	r.touch(slices.DeleteFunc(slices.Clone(all), isMade), true)
	others := slices.DeleteFunc(slices.Clone(all), func(one origin) bool { return !isMade(one) })
	for _, first := range args[0].values {
		if first.members == nil {
			for _, one := range args[1:] {
				r.touch(one.values, true)
			}
			continue
		}
		for _, one := range others {
			if one.root != nil {
				first.members[otherwise] = joined(first.members[otherwise], []origin{one})
				continue
			}
			for name, values := range maps.Clone(one.members) {
				first.members[name] = joined(first.members[name], values)
			}
		}
	}
	return all
}

func (r *valueReads) include(args []argument, node *parse.CommandNode) bool {
	if len(args) != 2 {
		return false
	}
	if args[0].isText {
		r.call(args[0].constant, args[1].values)
		return true
	}
	// A template of the chart by its file, which is followed by itself.
	isRoot := !slices.ContainsFunc(args[1].values, func(one origin) bool { return one.root == nil })
	return isRoot && node != nil && strings.Contains(node.String(), ".Template.BasePath")
}

func membersOf(function string, args []argument) (map[string][]origin, bool) {
	members := map[string][]origin{}
	if function != "dict" {
		for i, one := range args {
			members[strconv.Itoa(i)] = one.values
		}
		return members, true
	}
	for i := 0; i+1 < len(args); i += 2 {
		if !args[i].isText {
			return nil, false
		}
		members[args[i].constant] = args[i+1].values
	}
	return members, len(args)%2 == 0
}

// picked are what stands below constant names of a value.
func (r *valueReads) picked(from, names []argument) ([]origin, bool) {
	path := []string{}
	for _, one := range names {
		if !one.isText {
			return nil, false
		}
		path = append(path, one.constant)
	}
	if len(from) != 1 || len(path) == 0 {
		return nil, false
	}
	return r.fields(from[0].values, path), true
}
