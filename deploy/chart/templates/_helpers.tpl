{{/* What every template shares. Arguments are lists: the root, then what each names. */}}

{{/* labels ROOT PART: of an object. Not of its pods, which a new version of another part would replace. */}}
{{- define "dolly.labels" -}}
{{ include "dolly.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}

{{/* selector ROOT PART: of pods, and what they are found by */}}
{{- define "dolly.selector" -}}
app.kubernetes.io/name: dolly
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* parts ROOT PART...: pods of this release that are one of the parts, for network policies */}}
{{- define "dolly.parts" -}}
matchLabels:
  app.kubernetes.io/name: dolly
  app.kubernetes.io/instance: {{ (first .).Release.Name }}
matchExpressions:
  - {key: app.kubernetes.io/component, operator: In, values: {{ rest . | toJson }}}
{{- end }}

{{/* pod ROOT ACCOUNT: what all pods have; they run as user 10001 and have no token but the owner */}}
{{- define "dolly.pod" -}}
serviceAccountName: {{ index . 1 }}
automountServiceAccountToken: {{ hasSuffix "-owner" (index . 1) }}
enableServiceLinks: false
{{- with (index . 0).Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* where it is scheduled: VALUES with runtimeClassName, nodeSelector, tolerations */}}
{{- define "dolly.scheduling" -}}
{{- with .runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
nodeSelector: {{ toJson .nodeSelector }}
tolerations: {{ toJson .tolerations }}
{{- end }}

{{- define "dolly.contained" -}}
{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
{{- end }}

{{/* resources VALUES GPU-RESOURCE COUNT: with so many cards, where there are any */}}
{{- define "dolly.resources" -}}
{{- $cards := ternary (dict "limits" (dict (index . 1) (index . 2))) dict (gt (int (index . 2)) 0) -}}
{{- mergeOverwrite (deepCopy (index . 0)) $cards | toJson -}}
{{- end }}

{{/* secrets KEY...: each a file in /run/secrets, of the volume `secrets`. By subPath, so that the folder stays one that
     others (a service account's token, a mesh) can be mounted in. */}}
{{- define "dolly.secrets" -}}
{{- range . }}
- {name: secrets, mountPath: /run/secrets/{{ . }}, subPath: {{ . }}, readOnly: true}
{{- end }}
{{- end }}

{{/* claim ROOT NAME VALUES: the claim that the values name, or the one that the chart makes */}}
{{- define "dolly.claim" -}}
persistentVolumeClaim: {claimName: {{ (index . 2).existingClaim | default (printf "%s-%s" (index . 0).Release.Name (index . 1)) }}}
{{- end }}

{{/* volume-claim ROOT NAME VALUES: a volume that stays when Dolly is uninstalled */}}
{{- define "dolly.volume-claim" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ $root.Release.Name }}-{{ index . 1 }}
  labels: {{- include "dolly.labels" (list $root (index . 1)) | nindent 4 }}
  annotations: {helm.sh/resource-policy: keep}
spec:
  accessModes: {{ toJson $values.accessModes }}
  {{- with $values.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources: {requests: {storage: {{ $values.size }}}}
{{- end }}
