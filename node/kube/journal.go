package kube

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"holdfast"
)

// JournalMap is the ConfigMap of a node's namespace that keeps what would be next to
// the configuration, where no directory can be written to, such as in a pod: journals
// of restores, and identifiers that were used.
const JournalMap = "holdfast-restore"

// Kept reads a key of it; nil where there is none.
func (n Node) Kept(ctx context.Context, key string) (text []byte, err error) {
	err = again(ctx, func(ctx context.Context) error {
		var m corev1.ConfigMap
		err := n.Cluster.get(ctx, "configmaps", n.Namespace, JournalMap, &m)
		if text = nil; apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return n.Cluster.explain("get configmaps "+JournalMap, n.Namespace, err)
		}
		if kept, ok := m.Data[key]; ok {
			text = []byte(kept)
		}
		return nil
	})
	return text, err
}

// Keep has a key of it have a text; nil removes the key. The ConfigMap itself
// stays, so that no right to delete one is needed.
func (n Node) Keep(ctx context.Context, key string, text []byte) error {
	data := map[string]any{key: nil}
	if text != nil {
		data[key] = string(text)
	}
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return err
	}
	return again(ctx, func(ctx context.Context) error {
		err := n.write(ctx, patch)
		if apierrors.IsNotFound(err) && text == nil {
			return nil
		}
		if apierrors.IsNotFound(err) {
			if err = n.begin(ctx); err == nil || apierrors.IsAlreadyExists(err) {
				err = n.write(ctx, patch)
			}
		}
		switch {
		case err == nil:
			return nil
		case apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsInvalid(err):
			return &holdfast.Problem{
				Class: holdfast.Failed, What: "the journal does not fit into ConfigMap " + JournalMap, Err: err,
				Why: "Nobody would know what an interrupted restore has stopped and renamed.",
				Do:  "Run the restore where the directory of holdfast.yaml can be written to.",
			}
		}
		return n.Cluster.explain("patch configmaps "+JournalMap, n.Namespace, err)
	})
}

func (n Node) write(ctx context.Context, patch []byte) error {
	ctx, cancel := context.WithTimeout(ctx, n.Cluster.within)
	defer cancel()
	return n.Cluster.core.Patch(types.MergePatchType).Namespace(n.Namespace).Resource("configmaps").Name(JournalMap).
		Body(patch).Do(ctx).Error()
}

// begin makes the ConfigMap.
func (n Node) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, n.Cluster.within)
	defer cancel()
	return n.Cluster.core.Post().Namespace(n.Namespace).Resource("configmaps").
		Body(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: JournalMap}}).Do(ctx).Error()
}
