{{/*
The pod of everything, one container of it. Of: the chart's root, args, and what
differs: restart, ports and probes as text.
*/}}
{{- define "holdfast.pod" -}}
{{- $v := .root.Values -}}
{{- with $v.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
serviceAccountName: {{ include "holdfast.account" .root }}
automountServiceAccountToken: {{ include "holdfast.token" .root }}
enableServiceLinks: false
shareProcessNamespace: true # whose first process collects what others leave behind
restartPolicy: {{ .restart }}
# A run that is interrupted gives back its locks, and a restore puts back what it has begun.
terminationGracePeriodSeconds: 120
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
containers:
  - name: holdfast
    image: {{ include "holdfast.image" .root | quote }}
    imagePullPolicy: {{ $v.image.pullPolicy }}
    {{- with .command }}
    command: {{ toJson . }}
    {{- end }}
    {{- with .args }}
    args: {{ toJson . }}
    {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    env:
      - {name: HOME, value: /tmp}
      - {name: STATE_DIRECTORY, value: /tmp/state} # what was told to whom; it may be lost
      - {name: CACHE_DIRECTORY, value: /var/cache/holdfast}
      {{- if $v.drills.size }}
      - {name: HOLDFAST_DRILL_DIR, value: /var/lib/holdfast-drill}
      {{- if not (dig "drill" "memory" "" (fromYaml $v.config)) }}
      - {name: HOLDFAST_DRILL_MEMORY, value: {{ $v.drills.memory }}}
      {{- end }}
      {{- else }}
      - {name: HOLDFAST_SCHEDULE_DRILL, value: never}
      {{- end }}
      # Only `holdfast run` listens. A page in the configuration wants an address of every command.
      - {name: HOLDFAST_HTTP_LISTEN, value: ":7433"}
      - {name: HOLDFAST_HTTP_ALLOW_REMOTE, value: "true"}
      {{- with $v.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if .serves }}
    ports:
      - {name: http, containerPort: 7433}
    # The loops go round; the repository was read.
    livenessProbe:
      httpGet: {path: /healthz, port: http}
      initialDelaySeconds: 60
      periodSeconds: 30
      timeoutSeconds: 10
      failureThreshold: 10
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: 30
      timeoutSeconds: 10
    {{- end }}
    resources: {{ toJson $v.resources }}
    volumeMounts:
      {{- if $v.config }}
      - {name: config, mountPath: /etc/holdfast/holdfast.yaml, subPath: holdfast.yaml, readOnly: true}
      {{- end }}
      - {name: repository, mountPath: /etc/holdfast/repository, readOnly: true}
      {{- range $v.secrets }}
      - {name: {{ printf "secret-%s" (. | sha256sum | trunc 10) }}, mountPath: {{ printf "/etc/holdfast/secrets/%s" . | quote }}, readOnly: true}
      {{- end }}
      - {name: tmp, mountPath: /tmp}
      - {name: cache, mountPath: /var/cache/holdfast}
      {{- if $v.repository.claimName }}
      - {name: sets, mountPath: /var/lib/holdfast}
      {{- end }}
      {{- if $v.drills.size }}
      - {name: drill, mountPath: /var/lib/holdfast-drill}
      {{- end }}
volumes:
  {{- if $v.config }}
  - name: config
    configMap: {name: {{ include "holdfast.fullname" .root }}}
  {{- end }}
  - name: repository
    secret: {secretName: {{ $v.repository.secretName | quote }}, defaultMode: 0440}
  {{- range $v.secrets }}
  - name: {{ printf "secret-%s" (. | sha256sum | trunc 10) }}
    secret: {secretName: {{ . | quote }}, defaultMode: 0440}
  {{- end }}
  - name: tmp
    emptyDir: {sizeLimit: {{ $v.tmp.size | quote }}}
  - name: cache
    emptyDir: {sizeLimit: {{ $v.cache.size | quote }}}
  {{- with $v.repository.claimName }}
  - name: sets
    persistentVolumeClaim: {claimName: {{ . | quote }}}
  {{- end }}
  {{- with $v.drills }}
  {{- if .size }}
  - name: drill
    ephemeral:
      volumeClaimTemplate:
        spec:
          accessModes: [ReadWriteOnce]
          {{- with .storageClassName }}
          storageClassName: {{ . | quote }}
          {{- end }}
          resources: {requests: {storage: {{ .size | quote }}}}
  {{- end }}
  {{- end }}
{{- with $v.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with $v.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- with include "holdfast.affinity" .root }}
affinity: {{ . }}
{{- end }}
{{- with $v.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{/* A claim for one node at a time is mounted by pods of one node: Jobs go where the others are. */}}
{{- define "holdfast.affinity" -}}
{{- if .Values.affinity -}}
{{- toJson .Values.affinity -}}
{{- else if .Values.repository.claimName -}}
{{- $together := dict "labelSelector" (dict "matchLabels" (include "holdfast.selector" . | fromYaml)) "topologyKey" "kubernetes.io/hostname" -}}
{{- dict "podAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $together)) | toJson -}}
{{- end -}}
{{- end }}

{{- define "holdfast.podLabels" -}}
{{ include "holdfast.selector" .root }}
app.kubernetes.io/component: {{ .component }}
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Of a Job's pod: it is not moved while it works, and no sidecar keeps it from ending. */}}
{{- define "holdfast.jobAnnotations" -}}
cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
sidecar.istio.io/inject: "false"
linkerd.io/inject: disabled
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}
