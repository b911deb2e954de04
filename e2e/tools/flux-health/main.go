// Prints what Flux makes of manifests by health check expressions, a line each: Current, InProgress or Failed. On standard input:
//
//	{"expressions": {"current": "...", "inProgress": "...", "failed": "..."}, "objects": [...]}
//
// The package is the one that kustomize-controller evaluates spec.healthCheckExprs with.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	var given struct {
		Expressions kustomize.HealthCheckExpressions `json:"expressions"`
		Objects     []json.RawMessage                `json:"objects"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		log.Fatalf("expressions and objects are wanted: %v", err)
	}
	evaluator, err := cel.NewStatusEvaluator(&given.Expressions)
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range given.Objects {
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(text); err != nil {
			log.Fatalf("no manifest: %v", err)
		}
		result, err := evaluator.Evaluate(context.Background(), &object)
		if err != nil {
			log.Fatalf("%s: %v", object.GetName(), err)
		}
		fmt.Println(result.Status)
	}
}
