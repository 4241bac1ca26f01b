{{- define "common.config" -}}
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-common}
data: {chart: {{ .Chart.Name }}}
{{- end }}
