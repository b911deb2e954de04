{{- define "kubetune.name" -}}
{{- if contains "kubetune" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-kubetune" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- define "kubetune.selectorLabels" -}}
app.kubernetes.io/name: kubetune
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "kubetune.labels" -}}
{{ include "kubetune.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "kubetune.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest }}{{ printf "%s@%s" $image.repository $image.digest }}{{ else }}{{ printf "%s:%s" $image.repository ($image.tag | default .Chart.AppVersion) }}{{ end -}}
{{- end -}}

{{- /* The documents of one of deploy/'s files whose kind is asked for: (list $ "operator-rbac.yaml" "ClusterRole") */ -}}
{{- define "kubetune.rules" -}}
{{- $root := index . 0 -}}
{{- range $document := splitList "\n---\n" ($root.Files.Get (printf "files/%s" (index . 1))) -}}
{{- $parsed := fromYaml $document -}}
{{- if eq $parsed.kind "ClusterRole" }}{{ toYaml $parsed.rules }}{{ end -}}
{{- end -}}
{{- end -}}
