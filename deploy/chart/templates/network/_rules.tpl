{{/* Ends of connections, as several policies name them. */}}

{{- define "dolly.to-dns" -}}
- to: {{ toJson .Values.network.dns }}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end }}

{{- define "dolly.to-store" -}}
{{- if .Values.store.bundled -}}
- to:
    - podSelector: {{- include "dolly.parts" (list . "store") | nindent 8 }}
  ports: [{protocol: TCP, port: 6379}]
{{- else -}}
- to: {{ toJson .Values.store.external.to }}
  ports: [{protocol: TCP, port: {{ .Values.store.external.port }}}]
{{- end }}
{{- end }}

{{- define "dolly.to-engines" -}}
{{- if .Values.engine.enabled -}}
- to:
    - podSelector: {{- include "dolly.parts" (list . "engine-a" "engine-b") | nindent 8 }}
  ports: [{protocol: TCP, port: 8080}]
{{- end }}
{{- end }}
