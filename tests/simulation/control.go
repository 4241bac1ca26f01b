package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// control answers what tests ask of the simulation itself. Everything is JSON.
func (s *simulation) control() http.Handler {
	mux := http.NewServeMux()
	running := &bursts{}
	post := func(path string, answer func(body []byte) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				respond(w, nil, err)
				return
			}
			found, err := answer(body)
			respond(w, found, err)
		})
	}
	post("/edit", s.edit)
	post("/faults", func(body []byte) (any, error) {
		var one rule
		if err := json.Unmarshal(body, &one); err != nil {
			return nil, err
		}
		return s.rules.add(&one)
	})
	post("/clear", func(body []byte) (any, error) {
		var id int
		err := json.Unmarshal(body, &id)
		s.rules.remove(id)
		return nil, err
	})
	post("/compact", s.at(func(one *cluster, version int64) (any, error) { return one.compact(version), nil }))
	post("/restore", s.at(func(one *cluster, version int64) (any, error) { return version, one.restore(version) }))
	post("/end", s.at(func(one *cluster, _ int64) (any, error) { one.end(); return nil, nil }))
	post("/version", s.at(func(one *cluster, _ int64) (any, error) { return one.current(), nil }))
	post("/burst", func(body []byte) (any, error) {
		var wanted burst
		if err := json.Unmarshal(body, &wanted); err != nil {
			return nil, err
		}
		return running.start(s, &wanted)
	})
	post("/burst/state", func(body []byte) (any, error) { return running.state(body) })
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		text, err := s.rules.text()
		respond(w, json.RawMessage(text), err)
	})
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, r *http.Request) {
		respond(w, s.seen.copied(r.URL.Query().Get("clear") != ""), nil)
	})
	return mux
}

func respond(w http.ResponseWriter, found any, err error) {
	status := http.StatusOK
	if err != nil {
		status, found = http.StatusBadRequest, err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(found)
}

// at reads a cluster and a version from a body.
func (s *simulation) at(do func(*cluster, int64) (any, error)) func([]byte) (any, error) {
	return func(body []byte) (any, error) {
		var given struct {
			Cluster string `json:"cluster"`
			Version int64  `json:"version"`
		}
		if err := json.Unmarshal(body, &given); err != nil {
			return nil, err
		}
		one, err := s.named(given.Cluster)
		if err != nil {
			return nil, err
		}
		return do(one, given.Version)
	}
}

// edit makes one request to a cluster under a field manager, without TLS and without rules.
func (s *simulation) edit(body []byte) (any, error) {
	var given struct {
		Cluster     string          `json:"cluster"`
		Method      string          `json:"method"`
		Path        string          `json:"path"`
		Manager     string          `json:"manager"`
		ContentType string          `json:"contentType"`
		Body        json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(body, &given); err != nil {
		return nil, err
	}
	one, err := s.named(given.Cluster)
	if err != nil {
		return nil, err
	}
	joint := "?"
	if strings.Contains(given.Path, "?") {
		joint = "&"
	}
	path := given.Path + joint + "fieldManager=" + url.QueryEscape(given.Manager)
	code, answer := s.call(one, given.Method, path, given.ContentType, given.Body)
	return map[string]any{"status": code, "body": json.RawMessage(answer)}, nil
}

// burst is many writes to generated Deployments of one cluster, one after the other.
type burst struct {
	Cluster string  `json:"cluster"`
	Count   int     `json:"count"`
	Rate    float64 `json:"rate"` // writes a second; 0: as fast as they go
	Seed    uint64  `json:"seed"`
	// Kind is "report": a controller reports a new status, stored as it would be; or "status",
	// the same through the API with its managed fields; or "edit": a person changes the replicas.
	Kind    string `json:"kind"`
	Manager string `json:"manager"`

	done    int
	failed  string
	objects []string
	version int64
}

type bursts struct {
	mu  sync.Mutex
	all []*burst
}

func (b *bursts) start(s *simulation, one *burst) (int, error) {
	to, err := s.named(one.Cluster)
	if err != nil {
		return 0, err
	}
	deployments := to.generator.families["/deployments.apps"]
	if deployments == nil || deployments.count() == 0 {
		return 0, fmt.Errorf("%s has no generated Deployments", one.Cluster)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, one)
	go b.run(s, to, deployments, one)
	return len(b.all) - 1, nil
}

func (b *bursts) run(s *simulation, to *cluster, deployments *family, one *burst) {
	chance := rand.New(rand.NewPCG(one.Seed, 2))
	begun := time.Now()
	for number := range one.Count {
		if one.Rate > 0 {
			due := begun.Add(time.Duration(float64(number) / one.Rate * float64(time.Second)))
			time.Sleep(time.Until(due))
		}
		key := deployments.key(chance.IntN(deployments.count()))
		version, err := b.write(s, to, key, one, number)
		b.mu.Lock()
		if err != nil {
			one.failed = err.Error()
		}
		one.done, one.version = number+1, version
		one.objects = append(one.objects[max(len(one.objects)-999, 0):], key)
		b.mu.Unlock()
	}
}

func (b *bursts) write(s *simulation, to *cluster, key string, one *burst, number int) (int64, error) {
	if one.Kind == "report" {
		return to.report(key), nil
	}
	parts := strings.Split(key, "/")
	path := "/apis/apps/v1/namespaces/" + parts[2] + "/deployments/" + parts[3]
	manager, patch := one.Manager, any(map[string]any{"spec": map[string]any{"replicas": 3 + number%90}})
	if one.Kind == "status" {
		path += "/status"
		manager = controller
		patch = map[string]any{"status": map[string]any{"readyReplicas": number % 3}}
	}
	if _, err := s.must(to, "PATCH", path+"?fieldManager="+manager, mergePatch, patch); err != nil {
		return 0, err
	}
	return to.current(), nil
}

func (b *bursts) state(body []byte) (any, error) {
	number, err := strconv.Atoi(strings.TrimSpace(string(body)))
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil || number < 0 || number >= len(b.all) {
		return nil, fmt.Errorf("no such burst: %s", body)
	}
	one := b.all[number]
	return map[string]any{
		"done": one.done, "count": one.Count, "failed": one.failed, "version": one.version,
		"objects": append([]string{}, one.objects...),
	}, nil
}
