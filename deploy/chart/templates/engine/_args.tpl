{{/* The words of each engine. Both serve $(MODEL), which the owner sets. */}}

{{- define "dolly.engine.tgi" -}}
- --model-id=$(MODEL)
- --hostname=0.0.0.0
- --port=8080
- --usage-stats=off
- --json-output
- --num-shard={{ .numShard }}
- --max-input-tokens={{ .maxInputTokens }}
- --max-total-tokens={{ .maxTotalTokens }}
- --max-batch-prefill-tokens={{ .maxBatchPrefillTokens }}
- --max-concurrent-requests={{ .maxConcurrentRequests }}
- --cuda-memory-fraction={{ .gpuShare }}
- --graceful-termination-timeout=90
{{- end }}

{{- define "dolly.engine.vllm" -}}
- $(MODEL)
- --served-model-name=dolly
- --host=0.0.0.0
- --port=8080
- --tensor-parallel-size={{ .numShard }}
- --max-model-len={{ .maxTotalTokens }}
- --max-num-seqs={{ .maxConcurrentRequests }}
- --gpu-memory-utilization={{ .gpuShare }}
{{- end }}
