{{/* The name of everything. A CronJob's name has 52 characters at most, with its task. */}}
{{- define "holdfast.fullname" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}{{- $name = printf "%s-%s" $name .Chart.Name -}}{{- end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "holdfast.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "holdfast.labels" -}}
{{ include "holdfast.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "holdfast.account" -}}
{{- .Values.serviceAccount.name | default (ternary (include "holdfast.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "holdfast.image" -}}
{{- $i := .Values.image -}}
{{- if $i.digest -}}{{ $i.repository }}@{{ $i.digest }}{{- else -}}{{ $i.repository }}:{{ $i.tag | default .Chart.AppVersion }}{{- end -}}
{{- end }}

{{/*
The Secrets that the configuration refers to, as NAMESPACE/NAME, one a line, each
once. A first run in the pod has no configuration yet, and those that it mounts.
*/}}
{{- define "holdfast.references" -}}
{{- $named := list -}}
{{- if not .Values.config -}}
{{- range .Values.secrets -}}{{- $named = append $named (printf "%s/%s" $.Release.Namespace .) -}}{{- end -}}
{{- end -}}
{{- range regexFindAll "kube:[a-z0-9.-]+/[a-z0-9.-]+#" .Values.config -1 -}}
{{- $named = append $named (. | trimPrefix "kube:" | trimSuffix "#") -}}
{{- end -}}
{{- $named | uniq | sortAlpha | join "\n" -}}
{{- end }}

{{/* The namespace of the node that the configuration has. */}}
{{- define "holdfast.node" -}}
{{- dig "kube" "namespace" .Release.Namespace (fromYaml .Values.config) -}}
{{- end }}

{{/* The rights that are given: a file each. What is not recorded need not be found, but by a first run. */}}
{{- define "holdfast.tiers" -}}
{{- $recorded := dig "kube" "namespace" "" (fromYaml .Values.config) -}}
{{- $tiers := list -}}
{{- if and .Values.rbac.discover (or $recorded (eq .Values.mode "idle")) -}}{{- $tiers = append $tiers "discover" -}}{{- end -}}
{{- if and .Values.rbac.values $recorded -}}{{- $tiers = append $tiers "values" -}}{{- end -}}
{{- if .Values.rbac.restore -}}{{- $tiers = append $tiers "restore" -}}{{- end -}}
{{- if .Values.rbac.reonboard -}}{{- $tiers = append $tiers "reonboard" -}}{{- end -}}
{{- join " " $tiers -}}
{{- end }}

{{/* "true" where the pod speaks to the API server. */}}
{{- define "holdfast.token" -}}
{{- or (ne (include "holdfast.tiers" .) "") (and .Values.rbac.secrets (ne (include "holdfast.references" .) "")) -}}
{{- end }}

{{/* What the schema cannot say. */}}
{{- define "holdfast.check" -}}
{{- $config := fromYaml .Values.config -}}
{{- if hasKey $config "Error" -}}
{{- fail (printf "config: it is no YAML: %s. Give the file as it is: --set-file config=holdfast.yaml" $config.Error) -}}
{{- end -}}
{{- if and (not .Values.config) (ne .Values.mode "idle") -}}
{{- fail "config: give holdfast.yaml: --set-file config=holdfast.yaml. To write one: holdfast init --kube" -}}
{{- end -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository: name the image: build it with `make image`, push it to a registry of yours" -}}
{{- end -}}
{{- if not .Values.repository.secretName -}}
{{- fail "repository.secretName: name the Secret with the repository's password. To make it: kubectl create secret generic holdfast-repository --from-file=password=repository.password" -}}
{{- end -}}
{{- if and (ne .Values.mode "daemon") .Values.serviceMonitor.enabled -}}
{{- fail "serviceMonitor.enabled: only mode daemon has metrics; leave it out" -}}
{{- end -}}
{{- if and (ne .Values.mode "daemon") .Values.dashboard.enabled -}}
{{- fail "dashboard.enabled: it shows metrics, which only mode daemon has; leave it out" -}}
{{- end -}}
{{- if and (eq .Values.mode "idle") .Values.prometheusRule.enabled -}}
{{- fail "prometheusRule.enabled: in mode idle nothing is backed up, and nothing raises an alarm; leave it out" -}}
{{- end -}}
{{- if or (dig "kube" "context" "" $config) (dig "kube" "kubeconfig" "" $config) -}}
{{- fail "config: kube.context, kube.kubeconfig: they are for machines outside of the cluster; leave them out" -}}
{{- end -}}
{{- if dig "page" "open" false $config -}}
{{- fail "config: page.open: a page without a login is for one machine alone; replace it by page.users or page.oidc" -}}
{{- end -}}
{{- $drill := dig "schedule" "drill" "never" $config -}}
{{- if and (eq .Values.mode "daemon") (ne $drill "never") (not .Values.drills.size) -}}
{{- fail "drills.size: the configuration has schedule.drill. Give its drills space: 1.25 times the databases and 512Mi" -}}
{{- end -}}
{{- if and .Values.drills.size (dig "drill" "dir" "" $config) -}}
{{- fail "config: drill.dir: leave it out; drills.size makes a volume for drills" -}}
{{- end -}}
{{- end }}
