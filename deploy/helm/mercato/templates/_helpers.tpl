{{- define "mercato.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "mercato.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (include "mercato.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "mercato.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels that never change: context, component. */}}
{{- define "mercato.selector" -}}
app.kubernetes.io/name: {{ include "mercato.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "mercato.labels" -}}
{{ include "mercato.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: mercato
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "mercato.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "mercato.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The default block with a service's own above it: context, name. Lists are replaced. */}}
{{- define "mercato.service" -}}
{{- toYaml (mustMergeOverwrite (deepCopy .root.Values.default) (deepCopy (index .root.Values.services .name | default dict))) -}}
{{- end -}}

{{/* Image of a target of the Dockerfile: context, target. */}}
{{- define "mercato.image" -}}
{{- $image := .root.Values.image -}}
{{- $name := printf "mercato-%s:%s" .target (default .root.Chart.AppVersion $image.tag) -}}
{{- with index $image.digests .target }}{{ $name = printf "mercato-%s@%s" $.target . }}{{ end -}}
{{- if $image.registry }}{{ printf "%s/%s" (trimSuffix "/" $image.registry) $name }}{{ else }}{{ $name }}{{ end -}}
{{- end -}}

{{- define "mercato.port" -}}
{{- index (dict "gateway" 50050 "catalog" 50051 "profile" 50052 "encoder" 50053 "retrieval" 50054 "ranking" 50055 "support" 50056 "trainer" 50057) . -}}
{{- end -}}

{{/* `host:port` of every service: headless, so that clients see all pods and balance by themselves. */}}
{{- define "mercato.addresses" -}}
{{- $root := . -}}
{{- range $name, $_ := .Values.services }}
MERCATO_{{ upper $name }}_ADDRESS: {{ printf "dns:///%s-%s.%s.svc:%s" (include "mercato.fullname" $root) $name $root.Release.Namespace (include "mercato.port" $name) | quote }}
{{- end }}
MERCATO_MILVUS_URI: {{ required "milvus.uri is needed: http://host:port of Milvus" .Values.milvus.uri | quote }}
MERCATO_TRITON_ADDRESS: {{ required "triton.address is needed: host:port of Triton's gRPC endpoint" .Values.triton.address | quote }}
MERCATO_DATA: /var/lib/mercato
{{- range $key, $value := .Values.connection }}
MERCATO_CONNECTION_{{ upper $key }}: {{ $value | quote }}
{{- end }}
{{- if .Values.traces.endpoint }}
MERCATO_TRACES_ENDPOINT: {{ .Values.traces.endpoint | quote }}
MERCATO_TRACES_RATIO: {{ .Values.traces.ratio | quote }}
MERCATO_TRACES_TRUST_CALLERS: {{ .Values.traces.trustCallers | quote }}
{{- end }}
{{- end -}}

{{/* Environment of a service from its settings and the shared ones: root, name, service. Lists and maps are JSON. */}}
{{- define "mercato.settings" -}}
{{- $prefix := printf "MERCATO_%s_" (upper .name) -}}
{{- range $key, $value := mustMergeOverwrite (deepCopy .root.Values.settings) (deepCopy .service.settings) }}
{{ $prefix }}{{ upper $key }}: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ toJson $value | quote }}{{ end }}
{{- end }}
{{ $prefix }}LISTEN: {{ printf "[::]:%s" (include "mercato.port" .name) | quote }}
{{ $prefix }}METRICS_PORT: {{ .root.Values.metrics.port | quote }}
{{ $prefix }}DRAIN_SECONDS: {{ .service.drainSeconds | quote }}
{{- end -}}

{{/* Secrets as environment: what each service needs and no more. */}}
{{- define "mercato.secretEnv" -}}
{{- if has .name (list "catalog" "gateway" "profile" "support" "trainer" "migrate" "backup" "restore") }}
- name: MERCATO_POSTGRES_DSN
  valueFrom:
    secretKeyRef:
      name: {{ required "postgres.existingSecret is needed: a secret with the connection string" .root.Values.postgres.existingSecret }}
      key: {{ .root.Values.postgres.secretKey }}
{{- end }}
{{- if eq .name "gateway" }}
- name: MERCATO_GATEWAY_TOKEN_KEY
  valueFrom:
    secretKeyRef:
      name: {{ required "secrets.existingSecret is needed: a secret with attribution-token-key, pseudonym-key and receipt-key" .root.Values.secrets.existingSecret }}
      key: attribution-token-key
{{- end }}
{{- if eq .name "profile" }}
- name: MERCATO_PROFILE_PSEUDONYM_KEY
  valueFrom:
    secretKeyRef:
      name: {{ required "secrets.existingSecret is needed: a secret with attribution-token-key, pseudonym-key and receipt-key" .root.Values.secrets.existingSecret }}
      key: pseudonym-key
- name: MERCATO_PROFILE_RECEIPT_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.secrets.existingSecret }}
      key: receipt-key
{{- end }}
{{- if and (eq .name "retrieval") .root.Values.milvus.existingSecret }}
- name: MERCATO_RETRIEVAL_MILVUS_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.milvus.existingSecret }}
      key: {{ .root.Values.milvus.secretKey }}
{{- end }}
{{- end -}}

{{- define "mercato.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "mercato.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* What all pods share: service account, pull secrets, security. */}}
{{- define "mercato.pod" -}}
serviceAccountName: {{ include "mercato.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  {{- include "mercato.podSecurity" . | nindent 2 }}
{{- end -}}

{{/* What pods of hooks share: they run before the release's own account exists, and need none. */}}
{{- define "mercato.hookPod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  {{- include "mercato.podSecurity" . | nindent 2 }}
{{- end -}}

{{/* Who calls whom: the edges of the design. `training` is the CronJob. */}}
{{- define "mercato.edges" -}}
gateway: [catalog, profile, encoder, retrieval, ranking, support, trainer]
catalog: [encoder, retrieval]
profile: [catalog]
encoder: [trainer]
retrieval: [trainer, encoder]
ranking: [trainer]
support: [encoder, retrieval]
trainer: [profile, catalog, retrieval]
training: [profile, catalog, retrieval]
{{- end -}}
