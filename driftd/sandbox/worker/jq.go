package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

const (
	jqTimeout   = time.Second
	maxJQPaths  = 10_000
	maxCompiled = 1000
)

// jqOutcome is what one expression says about one object.
type jqOutcome struct {
	Paths []any  `json:"paths,omitempty"`
	Error string `json:"error,omitempty"`
}

var compiledJQ = map[string]*gojq.Code{}

// evaluateJQ answers, for each object, with the paths that each expression selects. They are
// what Argo CD's `del(<expression>)` would delete. No environment, input or module is there.
func evaluateJQ(params json.RawMessage) ([]byte, error) {
	var p struct {
		Expressions []string          `json:"expressions"`
		Objects     []json.RawMessage `json:"objects"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, fail(codeBadRequest, "", "invalid parameters: %s", err)
	}
	programs := make([]*gojq.Code, len(p.Expressions))
	refused := make([]string, len(p.Expressions))
	for i, expression := range p.Expressions {
		program, err := compileJQ(expression)
		if err != nil {
			refused[i] = shorten(err.Error())
		}
		programs[i] = program
	}
	results := make([][]jqOutcome, len(p.Objects))
	for i, raw := range p.Objects {
		object, err := decodeForJQ(raw)
		if err != nil {
			return nil, fail(codeBadRequest, "", "object %d: %s", i, err)
		}
		results[i] = make([]jqOutcome, len(programs))
		for j, program := range programs {
			if program == nil {
				results[i][j] = jqOutcome{Error: refused[j]}
				continue
			}
			results[i][j] = runJQ(program, object)
		}
	}
	return json.Marshal(map[string]any{"results": results})
}

func compileJQ(expression string) (*gojq.Code, error) {
	if program, ok := compiledJQ[expression]; ok {
		return program, nil
	}
	if _, err := gojq.Parse(expression); err != nil {
		return nil, err
	}
	// The line break ends a comment that the expression may end with.
	query, err := gojq.Parse("path(" + expression + "\n)")
	if err != nil {
		return nil, err
	}
	program, err := gojq.Compile(query, gojq.WithEnvironLoader(func() []string { return nil }))
	if err != nil {
		return nil, err
	}
	if len(compiledJQ) >= maxCompiled {
		clear(compiledJQ)
	}
	compiledJQ[expression] = program
	return program, nil
}

func runJQ(program *gojq.Code, object any) (outcome jqOutcome) {
	ctx, cancel := context.WithTimeout(context.Background(), jqTimeout)
	defer cancel()
	defer func() {
		if reason := recover(); reason != nil {
			outcome = jqOutcome{Error: shorten(fmt.Sprint(reason))}
		}
	}()
	iterator := program.RunWithContext(ctx, object)
	for {
		value, ok := iterator.Next()
		if !ok {
			return outcome
		}
		if err, failed := value.(error); failed {
			var halt *gojq.HaltError
			if errors.As(err, &halt) && halt.Value() == nil {
				return outcome
			}
			return jqOutcome{Error: shorten(describeJQError(err))}
		}
		if outcome.Paths = append(outcome.Paths, value); len(outcome.Paths) > maxJQPaths {
			return jqOutcome{Error: fmt.Sprintf("more than %d paths", maxJQPaths)}
		}
	}
}

// describeJQError leaves out what may be a value of the object, which may be a secret: all
// that the expression raised itself, and what jq's own errors end with.
func describeJQError(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("not done within %s", jqTimeout)
	}
	var raised gojq.ValueError
	if errors.As(err, &raised) {
		return "the expression raised an error"
	}
	message := err.Error()
	if position := strings.IndexAny(message, `({["`); position > 0 {
		message = strings.TrimRight(message[:position], " :")
	}
	return message
}

// decodeForJQ keeps whole numbers exact, as gojq wants them.
func decodeForJQ(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, errors.New("invalid JSON")
	}
	return exactNumbers(value), nil
}

func exactNumbers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			value[key] = exactNumbers(item)
		}
	case []any:
		for i, item := range value {
			value[i] = exactNumbers(item)
		}
	case json.Number:
		if whole, err := value.Int64(); err == nil && whole >= math.MinInt && whole <= math.MaxInt {
			return int(whole)
		}
		if whole, ok := new(big.Int).SetString(value.String(), 10); ok {
			return whole
		}
		float, _ := value.Float64()
		return float
	}
	return value
}
