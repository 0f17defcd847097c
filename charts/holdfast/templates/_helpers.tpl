{{- define "holdfast.name" -}}
{{- if contains "holdfast" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-holdfast" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}
{{- define "holdfast.selector" -}}
app.kubernetes.io/name: holdfast
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "holdfast.labels" -}}
{{ include "holdfast.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: controller
{{- end }}
{{- define "holdfast.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- /* What the operator may do where migrations are. Secrets by get only: it can read those that migrations name, and list none. */}}
{{- define "holdfast.rules" -}}
- apiGroups: [holdfast.dev]
  resources: [schemamigrations]
  verbs: [get, list, watch, patch]
- apiGroups: [holdfast.dev]
  resources: [schemamigrations/status]
  verbs: [update]
# For owner references of what is made for a migration, in clusters that are strict about them.
- apiGroups: [holdfast.dev]
  resources: [schemamigrations/finalizers]
  verbs: [update]
- apiGroups: [holdfast.dev]
  resources: [migrationapprovals]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [secrets, podtemplates]
  verbs: [get]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create]
# Changed is the time after which a Job that has succeeded goes.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
# For backups of type VolumeSnapshot: none can be changed or deleted, nor the claim that it is of.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get]
- apiGroups: [snapshot.storage.k8s.io]
  resources: [volumesnapshots]
  verbs: [get, create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
