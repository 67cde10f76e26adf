{{/* What the trainer's containers are told and given, besides their words. */}}

{{- define "dolly.trainer.env" -}}
- {name: DOLLY_DATA, value: /work}
{{- if not .Values.store.bundled }}
- {name: REDIS_CLUSTER, value: {{ .Values.store.external.cluster | quote }}}
{{- end }}
{{- end }}

{{- define "dolly.trainer.mounts" -}}
- {name: data, mountPath: /data}
- {name: work, mountPath: /work}
- {name: tmp, mountPath: /tmp}   # kernels are compiled there
- {name: shared-memory, mountPath: /dev/shm}
{{- end }}

{{- define "dolly.trainer.volumes" -}}
- {name: data, {{ include "dolly.claim" (list . "data" .Values.data) }}}
- {name: work, {{ include "dolly.claim" (list . "work" .Values.trainer.work) }}}
- {name: tmp, emptyDir: {}}
- {name: shared-memory, emptyDir: {medium: Memory, sizeLimit: {{ .Values.trainer.sharedMemory }}}}
{{- end }}

{{- define "dolly.trainer.secrets-volume" -}}
- {name: secrets, secret: {secretName: {{ .Values.trainer.existingSecret }}, defaultMode: 0440}}
{{- end }}

{{- define "dolly.trainer.resources" -}}
{{- include "dolly.resources" (list .Values.trainer.resources .Values.engine.gpuResource .Values.trainer.gpus) }}
{{- end }}
