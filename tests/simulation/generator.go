package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"sort"
	"strconv"
	"strings"
)

// What stands in templates for the values of a generated object. Each value has the length of
// its placeholder, so that it can be put into the encoded object.
const (
	namespacePlaceholder = "app-99999"
	namePlaceholder      = "web-9999"
	valuePlaceholder     = "f0f0f0f0"
	tickPlaceholder      = "a0a0a0a0" // in what a controller says of the object
	firstVersion         = 1000
)

func namespaceName(number int) string { return fmt.Sprintf("app-%05d", number) }
func objectName(number int) string    { return fmt.Sprintf("web-%04d", number) }

// numbered is the number at the end of a generated name, -1 for every other name.
func numbered(name, form string) int {
	if len(name) != len(form) || name[:4] != form[:4] {
		return -1
	}
	for _, digit := range name[4:] {
		if digit < '0' || digit > '9' {
			return -1
		}
	}
	number, err := strconv.Atoi(name[4:])
	if err != nil {
		return -1
	}
	return number
}

// value is what makes each object different: eight digits of its place and the seed.
func value(seed, cluster, namespace, name string) string {
	text := strings.Join([]string{seed, cluster, namespace, name}, "/")
	return fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(text)))
}

// template is an encoded object and where its placeholders stand.
type template struct {
	kind   string // "/deployments.apps"
	data   []byte
	uid    string
	places map[string][]int
}

func newTemplate(kind string, data []byte, uid string) *template {
	made := &template{kind: kind, data: data, uid: uid, places: map[string][]int{}}
	for _, text := range []string{
		namespacePlaceholder, namePlaceholder, valuePlaceholder, tickPlaceholder, uid,
	} {
		for from := 0; ; {
			at := bytes.Index(data[from:], []byte(text))
			if at < 0 {
				break
			}
			made.places[text] = append(made.places[text], from+at)
			from += at + len(text)
		}
	}
	return made
}

// with is the encoded object with its own values.
func (t *template) with(values map[string]string) []byte {
	data := bytes.Clone(t.data)
	for placeholder, places := range t.places {
		for _, at := range places {
			copy(data[at:], values[placeholder])
		}
	}
	return data
}

// family is the generated objects of one kind.
type family struct {
	kind       string
	namespaces int
	numbers    []int // of the objects in each namespace; nil for the namespaces themselves
	turn       int   // number modulo this chooses the template
	templates  map[int]*template
	first      int64 // the version of the first one
}

func (f *family) count() int {
	if f.numbers == nil {
		return f.namespaces
	}
	return f.namespaces * len(f.numbers)
}

// key is the storage key of the object at a position; they are sorted.
func (f *family) key(position int) string {
	if f.numbers == nil {
		return f.kind + "/" + namespaceName(position)
	}
	each := len(f.numbers)
	return f.kind + "/" + namespaceName(position/each) + "/" + objectName(f.numbers[position%each])
}

// position is where a key stands, -1 if no such object is generated.
func (f *family) position(key string) int {
	parts := strings.Split(strings.TrimPrefix(key, f.kind+"/"), "/")
	namespace := numbered(parts[0], namespacePlaceholder)
	if namespace < 0 || namespace >= f.namespaces {
		return -1
	}
	if f.numbers == nil {
		if len(parts) != 1 {
			return -1
		}
		return namespace
	}
	if len(parts) != 2 {
		return -1
	}
	number := numbered(parts[1], namePlaceholder)
	at := sort.SearchInts(f.numbers, number)
	if number < 0 || at == len(f.numbers) || f.numbers[at] != number {
		return -1
	}
	return namespace*len(f.numbers) + at
}

// generator makes the objects that a cluster has from the beginning, whenever they are read.
type generator struct {
	seed     string
	cluster  string
	families map[string]*family
	total    int
}

// newGenerator plans the objects of one cluster: of each namespace those with the numbers 0 to
// perNamespace-1, made from the templates in turn.
func newGenerator(
	seed, cluster string, namespaces, perNamespace int, namespace *template, templates []*template,
) *generator {
	made := &generator{seed: seed, cluster: cluster, families: map[string]*family{}}
	if namespaces > 0 {
		made.families[namespace.kind] = &family{
			kind: namespace.kind, namespaces: namespaces, turn: 1,
			templates: map[int]*template{0: namespace},
		}
	}
	for number := 0; number < perNamespace && len(templates) > 0; number++ {
		one := templates[number%len(templates)]
		group := made.families[one.kind]
		if group == nil {
			group = &family{
				kind: one.kind, namespaces: namespaces, turn: len(templates),
				templates: map[int]*template{},
			}
			made.families[one.kind] = group
		}
		group.numbers = append(group.numbers, number)
		group.templates[number%len(templates)] = one
	}
	kinds := make([]string, 0, len(made.families))
	for kind := range made.families {
		kinds = append(kinds, kind)
	}
	sort.Strings(kinds)
	for _, kind := range kinds {
		made.families[kind].first = int64(firstVersion + made.total)
		made.total += made.families[kind].count()
	}
	return made
}

// last is the version of a cluster to which nothing has been written yet.
func (g *generator) last() int64 { return int64(firstVersion + g.total) }

func (g *generator) has(key string) bool {
	group := g.families[kindOf(key)]
	return group != nil && group.position(key) >= 0
}

// object is the generated object of a key, without data if there is none.
func (g *generator) object(key string) state { return g.ticked(key, 0) }

// ticked is a generated object after its controller has reported so many times.
func (g *generator) ticked(key string, ticks int64) state {
	group := g.families[kindOf(key)]
	if group == nil {
		return state{}
	}
	position := group.position(key)
	if position < 0 {
		return state{}
	}
	parts := strings.Split(strings.TrimPrefix(key, group.kind+"/"), "/")
	namespace, name, one := parts[0], "", group.templates[0]
	if group.numbers != nil {
		name = parts[1]
		one = group.templates[group.numbers[position%len(group.numbers)]%group.turn]
	}
	data := one.with(map[string]string{
		namespacePlaceholder: namespace,
		namePlaceholder:      name,
		valuePlaceholder:     value(g.seed, g.cluster, namespace, name),
		tickPlaceholder:      fmt.Sprintf("%08d", ticks%100_000_000),
		one.uid:              identity(g.seed, g.cluster, key),
	})
	return state{group.first + int64(position), data}
}

// identity is the uid of a generated object.
func identity(seed, cluster, key string) string {
	sum := sha256.Sum256([]byte(seed + "/" + cluster + key))
	text := hex.EncodeToString(sum[:16])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}

// span is some neighbours of a family.
type span struct {
	of         *family
	begin, end int
}

func (s span) key(position int) string { return s.of.key(position) }

// keys are the generated keys below a prefix from a key on.
func (g *generator) keys(prefix, from string) span {
	group := g.families[kindOf(prefix)]
	if group == nil {
		return span{}
	}
	beyond := prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1)
	return span{group, group.search(from), group.search(beyond)}
}

func (f *family) search(key string) int {
	return sort.Search(f.count(), func(i int) bool { return f.key(i) >= key })
}
