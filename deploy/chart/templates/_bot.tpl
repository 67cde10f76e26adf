{{/* What the bot is told and given; the check and the export of feedback are given the same. */}}

{{- define "dolly.bot.env" -}}
{{- $external := .Values.store.external -}}
{{- $own := dict
  "ADMIN_HOST" "0.0.0.0"
  "ADMIN_PORT" "9464"
  "DOLLY_DATA" "/data"
  "ERASURE_LOG" "/data/erasures.jsonl"
  "AUDIT_LOG" "/data/audit-$(POD_NAME).jsonl"
  "FINISH_SECONDS" .Values.bot.finishSeconds -}}
{{- if .Values.engine.enabled }}{{ $_ := set $own "ENGINE_URL" (printf "http://%s-engine-a:8080" .Release.Name) }}{{ end -}}
{{- if not .Values.store.bundled }}
{{- $_ := set $own "REDIS_CLUSTER" $external.cluster }}
{{- $_ := set $own "REDIS_PARTITIONS" $external.partitions }}
{{- $_ := set $own "REDIS_WAIT_REPLICAS" $external.waitReplicas }}
{{- end }}
{{- with .Values.bot.httpsProxy }}{{ $_ := set $own "HTTPS_PROXY" . }}{{ end -}}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
{{- range $name, $value := $own }}
- {name: {{ $name }}, value: {{ include "dolly.text" $value }}}
{{- end }}
{{- range $name, $value := .Values.bot.settings }}
{{- if not (kindIs "invalid" $value) }}
- {name: {{ snakecase $name | upper }}, value: {{ include "dolly.text" (ternary (toJson $value) $value (eq $name "stopSequences")) }}}
{{- end }}
{{- end }}
{{- end }}

{{/* A setting's value as the environment has it: lists with commas between, numbers without an exponent. */}}
{{- define "dolly.text" -}}
{{- if kindIs "string" . }}{{ quote . }}{{ else if kindIs "slice" . }}{{ join "," . | quote }}{{ else }}{{ toJson . | quote }}{{ end -}}
{{- end }}

{{- define "dolly.bot.secrets" -}}
{{- $slack := ternary "slack_app_token" "slack_signing_secret" (eq .Values.bot.slack "socket") -}}
{{- include "dolly.secrets" (list "slack_bot_token" $slack "dolly_memory_key" "retrain_key" "engine_api_key" "redis_url") }}
{{- end }}

{{- define "dolly.bot.mounts" -}}
- {name: logs, mountPath: /data}
- {name: data, mountPath: /models, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- include "dolly.bot.secrets" . }}
{{- end }}

{{- define "dolly.bot.volumes" -}}
- {name: secrets, secret: {secretName: {{ .Values.bot.existingSecret }}, defaultMode: 0440}}
- {name: logs, {{ include "dolly.claim" (list . "bot" .Values.bot.volume) }}}
- {name: data, {{ include "dolly.claim" (list . "data" .Values.data) }}}
- {name: tmp, emptyDir: {}}
{{- end }}
