// Prints what kstatus makes of manifests: a JSON array on standard input, a line "status<TAB>message" each on standard output.
//
// kstatus is what kpt and Config Sync decide by; Flux has a fork of the same package.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	var manifests []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&manifests); err != nil {
		log.Fatalf("a JSON array of manifests is wanted: %v", err)
	}
	for _, text := range manifests {
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(text); err != nil {
			log.Fatalf("no manifest: %v", err)
		}
		result, err := status.Compute(&object)
		if err != nil {
			log.Fatalf("%s: %v", object.GetName(), err)
		}
		fmt.Printf("%s\t%s\n", result.Status, result.Message)
	}
}
