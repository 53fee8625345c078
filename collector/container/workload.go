package container

import "strings"

// Characters of generated Kubernetes names. rand.SafeEncodeString maps the
// decimal digits of a ReplicaSet's hash onto ten letters and digits, and
// rand.String draws a pod's suffix from 27 (apimachinery util/rand).
const (
	hashDigits   = "456789bcdf"
	suffixDigits = "bcdfghjklmnpqrstvwxz2456789"
)

// workloadOfPod returns the workload that a pod is a replica of, from its
// name alone, since the labels are not on the node's disk: Deployment
// (NAME-HASH-SUFFIX), DaemonSet and Job (NAME-SUFFIX), CronJob
// (NAME-MINUTES-SUFFIX), StatefulSet (NAME-ORDINAL), static pod (NAME-NODE).
func workloadOfPod(pod, node string) string {
	if name, ok := strings.CutSuffix(pod, "-"+node); ok && node != "" && name != "" {
		return name
	}
	rest, last, ok := cutLast(pod)
	if !ok {
		return pod
	}
	if len(last) == 5 && consistsOf(last, suffixDigits) {
		if name, hash, ok := cutLast(rest); ok {
			if len(hash) >= 6 && len(hash) <= 10 && consistsOf(hash, hashDigits) {
				return name
			}
			if len(hash) >= 8 && len(hash) <= 10 && consistsOf(hash, "0123456789") {
				return name
			}
		}
		return rest
	}
	if len(last) <= 4 && consistsOf(last, "0123456789") {
		return rest
	}
	return pod
}

// workloadLabels name a pod's workload, most deliberate first.
var workloadLabels = []string{
	"app.kubernetes.io/name", "k8s-app", "app",
}

// replicaStem splits a container's name from a trailing replica number:
// "web-2", "web_2" and "web.2" are all "web". compose reports the pattern
// PROJECT_SERVICE_N, which is a replica even when it is the only one.
func replicaStem(name string) (stem string, compose, ok bool) {
	i := len(name)
	for i > 0 && name[i-1] >= '0' && name[i-1] <= '9' {
		i--
	}
	digits := len(name) - i
	if digits == 0 || digits > 4 || i < 2 || !strings.ContainsRune("-_.", rune(name[i-1])) {
		return "", false, false
	}
	stem = name[:i-1]
	if name[i-1] == '_' {
		if project, service, found := strings.Cut(stem, "_"); found && project != "" && service != "" {
			compose = true
		}
	}
	return stem, compose, true
}

func cutLast(s string) (rest, last string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i <= 0 || i == len(s)-1 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func consistsOf(s, alphabet string) bool {
	return strings.Trim(s, alphabet) == "" && s != ""
}
