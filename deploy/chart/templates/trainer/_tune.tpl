{{/* One pod that tunes, alone or as one of several nodes. It holds no secret: base, data set and run are files. */}}

{{- define "dolly.tune.name" -}}
{{ .Release.Name }}-tune-{{ .Values.trainer.tune.run }}
{{- end }}

{{- define "dolly.tune.pod" -}}
{{- $tune := .Values.trainer.tune -}}
{{- $several := gt (int $tune.nodes) 1 -}}
{{- $processes := mul (int $tune.nodes) (max 1 (int .Values.trainer.gpus)) -}}
{{- $config := ternary "cpu" (ternary "one-gpu" "fsdp2" (eq (int .Values.trainer.gpus) 1)) (lt (int .Values.trainer.gpus) 1) -}}
metadata:
  labels: {{- include "dolly.selector" (list . "tune") | nindent 4 }}
spec:
  {{- include "dolly.pod" (list . .Release.Name) | nindent 2 }}
  {{- include "dolly.scheduling" .Values.trainer | nindent 2 }}
  restartPolicy: Never
  terminationGracePeriodSeconds: 90
  containers:
    - name: tune
      image: {{ .Values.images.trainer }}
      # A run that has a checkpoint is gone on with.
      command:
        - /bin/sh
        - -c
        - for each in "$RUN"/checkpoints/step-*; do if [ -d "$each" ]; then set -- "$@" --resume; break; fi; done; exec "$@"
        - tune
      args:
        - accelerate
        - launch
        - --config_file=deploy/accelerate/{{ $several | ternary "nodes" $config }}.yaml
        - --num_processes={{ $processes }}
        {{- if $several }}
        - --num_machines={{ $tune.nodes }}
        - --machine_rank=$(NODE)
        - --main_process_ip={{ include "dolly.tune.name" . }}-node-0-0.{{ include "dolly.tune.name" . }}
        - --main_process_port=29500
        {{- end }}
        - -m
        - trainer
        - tune
        - --recipe={{ $tune.recipe }}
        - --base={{ $tune.base }}
        - --dataset={{ $tune.dataset }}
        - --out=$(RUN)
      env:
        - {name: RUN, value: /work/tune/{{ $tune.run }}}
        {{- if $several }}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}}
        {{- end }}
      resources: {{ mergeOverwrite (include "dolly.trainer.resources" . | fromJson) $tune.resources | toJson }}
      securityContext: {{ include "dolly.contained" . }}
      volumeMounts: {{- include "dolly.trainer.mounts" . | nindent 8 }}
  volumes: {{- include "dolly.trainer.volumes" . | nindent 4 }}
{{- end }}
