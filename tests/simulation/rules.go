package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// asked is one request, as rules and tests see it.
type asked struct {
	At      float64    `json:"at"` // seconds since 1970
	Cluster string     `json:"cluster"`
	Verb    string     `json:"verb"` // list, watch, get, discovery, or the method in lower case
	Path    string     `json:"path"`
	Query   url.Values `json:"query"`
	Status  int        `json:"status"`
	Bytes   int        `json:"bytes"`
	Ended   bool       `json:"ended"`
}

func newAsked(one *cluster, r *http.Request) *asked {
	verb := strings.ToLower(r.Method)
	if r.Method == http.MethodGet {
		verb = readVerb(r)
	}
	return &asked{
		At: float64(time.Now().UnixMicro()) / 1e6, Cluster: one.name, Verb: verb,
		Path: r.URL.Path, Query: r.URL.Query(),
	}
}

// readVerb tells lists, watches, single objects and everything else apart.
func readVerb(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var rest []string
	switch {
	case parts[0] == "api" && len(parts) > 2:
		rest = parts[2:]
	case parts[0] == "apis" && len(parts) > 3:
		rest = parts[3:]
	default:
		return "discovery"
	}
	if len(rest) > 2 && rest[0] == "namespaces" {
		rest = rest[2:]
	}
	if watching := r.URL.Query().Get("watch"); watching == "true" || watching == "1" {
		return "watch"
	}
	if len(rest) == 1 {
		return "list"
	}
	return "get"
}

// requestLog remembers what was asked.
type requestLog struct {
	mu   sync.Mutex
	seen []*asked
}

// remembered is how many requests are kept.
const remembered = 20_000

func (l *requestLog) add(one *asked) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen = append(l.seen, one)
	if len(l.seen) > remembered {
		l.seen = append([]*asked(nil), l.seen[remembered/2:]...)
	}
}

func (l *requestLog) answered(one *asked, status, bytes int, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if status != 0 {
		one.Status = status
	}
	one.Bytes += bytes
	one.Ended = one.Ended || ended
}

// copied is the requests until now; clear forgets them.
func (l *requestLog) copied(clear bool) []asked {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := make([]asked, 0, len(l.seen))
	for _, one := range l.seen {
		found = append(found, *one)
	}
	if clear {
		l.seen = nil
	}
	return found
}

// rule breaks the answers to some requests. The first rule that matches a request applies.
type rule struct {
	ID      int     `json:"id"`
	Cluster string  `json:"cluster"` // empty: every one
	Verb    string  `json:"verb"`    // empty: every one
	Path    string  `json:"path"`    // a regular expression; empty: every one
	Query   string  `json:"query"`   // a regular expression of the query as it was sent
	Skip    int     `json:"skip"`    // so many matching requests are answered well first
	Times   int     `json:"times"`   // so many are broken then; 0: all
	Share   float64 `json:"share"`   // of those, by chance; 0: all
	Seed    uint64  `json:"seed"`

	Delay          float64 `json:"delay"`  // seconds before anything happens
	Status         int     `json:"status"` // answered instead
	RetryAfter     *string `json:"retryAfter"`
	Refuse         bool    `json:"refuse"`  // the connection ends without an answer
	Cut            *int    `json:"cut"`     // bytes of the body after which the connection ends
	Reset          bool    `json:"reset"`   // it ends with a reset then
	Silence        *int    `json:"silence"` // bytes of the body after which nothing comes
	BytesPerSecond float64 `json:"bytesPerSecond"`

	Omit            *int   `json:"omit"`      // index of an object that a list leaves out
	Duplicate       *int   `json:"duplicate"` // and of one that it has twice
	Reverse         bool   `json:"reverse"`   // a list's objects the other way round
	ResourceVersion string `json:"resourceVersion"`
	Empty           bool   `json:"empty"` // a list without objects

	Events string `json:"events"` // expire, duplicate, reorder, replay, drop, nobookmarks, nonsense
	After  int    `json:"after"`  // so many events of the watch come unbroken first

	Hits int `json:"hits"`

	path   *regexp.Regexp
	query  *regexp.Regexp
	met    int
	chance *rand.Rand
}

// rules are in force until they are removed.
type rules struct {
	mu   sync.Mutex
	list []*rule
	last int
}

func newRules() *rules { return &rules{} }

func (r *rules) add(one *rule) (int, error) {
	var err error
	if one.path, err = regexp.Compile(one.Path); err != nil {
		return 0, err
	}
	if one.query, err = regexp.Compile(one.Query); err != nil {
		return 0, err
	}
	one.chance = rand.New(rand.NewPCG(one.Seed, 1))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	one.ID = r.last
	r.list = append(r.list, one)
	return one.ID, nil
}

// remove takes one rule away, or all (0).
func (r *rules) remove(id int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kept []*rule
	for _, one := range r.list {
		if id != 0 && one.ID != id {
			kept = append(kept, one)
		}
	}
	r.list = kept
}

func (r *rules) text() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.list == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(r.list)
}

// matching is the rule that breaks the answer to a request, if one does.
func (r *rules) matching(one *asked) *rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, found := range r.list {
		if found.takes(one) {
			found.Hits++
			return found
		}
	}
	return nil
}

func (r *rule) takes(one *asked) bool {
	if (r.Cluster != "" && r.Cluster != one.Cluster) || (r.Verb != "" && r.Verb != one.Verb) {
		return false
	}
	if !r.path.MatchString(one.Path) || !r.query.MatchString(one.Query.Encode()) {
		return false
	}
	if r.Share > 0 && r.chance.Float64() >= r.Share {
		return false
	}
	r.met++
	return r.met > r.Skip && (r.Times == 0 || r.Hits < r.Times)
}

// rewrites says whether the body of the answer is changed, which has to be readable then.
func (r *rule) rewrites() bool {
	return r.lies() || r.Events != "" || r.Cut != nil || r.Silence != nil || r.BytesPerSecond > 0
}

func (r *rule) lies() bool {
	return r.Omit != nil || r.Duplicate != nil || r.Reverse || r.ResourceVersion != "" || r.Empty
}

// refuse answers instead of the API server, if the rule says so, after the rule's delay.
func (r *rule) refuse(w *breaking, request *http.Request) bool {
	if r.Delay > 0 {
		select {
		case <-time.After(time.Duration(r.Delay * float64(time.Second))):
		case <-request.Context().Done():
			return true
		}
	}
	if r.Refuse {
		w.hangUp()
		return true
	}
	if r.Status == 0 {
		return false
	}
	if r.RetryAfter != nil {
		w.Header().Set("Retry-After", *r.RetryAfter)
	}
	if r.Status == http.StatusTooManyRequests {
		// As the API server's own limits answer: no Status object.
		http.Error(w, "Too many requests, please try again later.", r.Status)
		w.finish()
		return true
	}
	text, err := json.Marshal(refusal(r.Status))
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(r.Status)
	_, _ = w.Write(text)
	w.finish()
	return true
}

// refusal is the Status object of a refusal.
func refusal(status int) metav1.Status {
	var err *apierrors.StatusError
	switch status {
	case http.StatusUnauthorized:
		err = apierrors.NewUnauthorized("Unauthorized")
	case http.StatusForbidden:
		err = apierrors.NewForbidden(schema.GroupResource{}, "", fmt.Errorf("by a rule of the test"))
	case http.StatusGone:
		err = apierrors.NewResourceExpired("too old resource version: 1 (2)")
	case http.StatusServiceUnavailable:
		err = apierrors.NewServiceUnavailable("by a rule of the test")
	case http.StatusInternalServerError:
		err = apierrors.NewInternalError(fmt.Errorf("by a rule of the test"))
	default:
		err = apierrors.NewGenericServerResponse(
			status, "", schema.GroupResource{}, "", "by a rule of the test", 0, true,
		)
	}
	found := err.Status()
	found.Kind, found.APIVersion = "Status", "v1"
	return found
}
