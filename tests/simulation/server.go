package main

import (
	"context"
	"net"
	"net/http"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/filters"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/apiserver/pkg/util/openapi"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	api "k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	generatedopenapi "k8s.io/kubernetes/pkg/generated/openapi"
	appsrest "k8s.io/kubernetes/pkg/registry/apps/rest"
	autoscalingrest "k8s.io/kubernetes/pkg/registry/autoscaling/rest"
	batchrest "k8s.io/kubernetes/pkg/registry/batch/rest"
	endpointstore "k8s.io/kubernetes/pkg/registry/core/endpoint/storage"
	podstore "k8s.io/kubernetes/pkg/registry/core/pod/storage"
	corerest "k8s.io/kubernetes/pkg/registry/core/rest"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	"k8s.io/kubernetes/pkg/registry/core/service/portallocator"
	servicestore "k8s.io/kubernetes/pkg/registry/core/service/storage"
	networkingrest "k8s.io/kubernetes/pkg/registry/networking/rest"
	policyrest "k8s.io/kubernetes/pkg/registry/policy/rest"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
)

// clusterKey is the place of the simulated cluster in a request's context.
type clusterKey struct{}

// clusterOf is the cluster that a request was made to.
func clusterOf(ctx context.Context) *cluster {
	return ctx.Value(clusterKey{}).(*cluster)
}

// provider gives the storage of one API group.
type provider interface {
	NewRESTStorage(
		serverstorage.APIResourceConfigSource, generic.RESTOptionsGetter,
	) (genericapiserver.APIGroupInfo, error)
}

// newHandler builds the API server whose storage is simulated. One serves all clusters: which
// of them a request means stands in its context.
func newHandler(sim *simulation, token string) (http.Handler, error) {
	config := genericapiserver.NewConfig(legacyscheme.Codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.ExternalAddress = "127.0.0.1:443"
	config.LoopbackClientConfig = &restclient.Config{Host: "127.0.0.1:443"}
	users := map[string]*user.DefaultInfo{
		token: {Name: "admin", Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}},
	}
	config.Authentication.Authenticator = authenticator.Request(bearertoken.New(tokenfile.New(users)))
	config.Authorization.Authorizer = authorizerfactory.NewAlwaysAllowAuthorizer()
	config.RESTOptionsGetter = sim
	config.AggregatedDiscoveryGroupManager = aggregated.NewResourceManager("apis")
	config.LongRunningFunc = filters.BasicLongRunningRequestCheck(
		sets.NewString("watch", "proxy"),
		sets.NewString("attach", "exec", "proxy", "log", "portforward"),
	)
	definitions := openapi.GetOpenAPIDefinitionsWithoutDisabledFeatures(
		generatedopenapi.GetOpenAPIDefinitions,
	)
	namer := openapinamer.NewDefinitionNamer(legacyscheme.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	config.OpenAPIV3Config.Info.Title = "Kubernetes"
	config.EnableIndex = false
	config.EnableProfiling = false
	server, err := config.Complete(nil).New("simulation", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	if err := install(server, config.Authorization.Authorizer, sim); err != nil {
		return nil, err
	}
	server.PrepareRun()
	return server.Handler, nil
}

// install adds the API groups that are served.
func install(
	server *genericapiserver.GenericAPIServer, allow authorizer.Authorizer, sim *simulation,
) error {
	served := serverstorage.NewResourceConfig()
	served.EnableVersions(
		corev1.SchemeGroupVersion, appsv1.SchemeGroupVersion, autoscalingv2.SchemeGroupVersion,
		batchv1.SchemeGroupVersion, networkingv1.SchemeGroupVersion, policyv1.SchemeGroupVersion,
		rbacv1.SchemeGroupVersion,
	)
	core, err := coreStorage(served, sim)
	if err != nil {
		return err
	}
	if err := server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, &core); err != nil {
		return err
	}
	for _, group := range []provider{
		appsrest.StorageProvider{},
		autoscalingrest.RESTStorageProvider{},
		batchrest.RESTStorageProvider{},
		networkingrest.RESTStorageProvider{},
		policyrest.RESTStorageProvider{},
		rbacrest.RESTStorageProvider{Authorizer: allow},
	} {
		info, err := group.NewRESTStorage(served, sim)
		if err != nil {
			return err
		}
		if err := server.InstallAPIGroup(&info); err != nil {
			return err
		}
	}
	return nil
}

// coreStorage is the core group: what needs no node, and Services with Pods and Endpoints.
func coreStorage(
	served *serverstorage.ResourceConfig, sim *simulation,
) (genericapiserver.APIGroupInfo, error) {
	info, err := (&corerest.GenericConfig{}).NewRESTStorage(served, sim)
	if err != nil {
		return info, err
	}
	endpoints, err := endpointstore.NewREST(sim)
	if err != nil {
		return info, err
	}
	pods, err := podstore.NewStorage(sim, nil, nil, nil, authorizerfactory.NewAlwaysAllowAuthorizer())
	if err != nil {
		return info, err
	}
	_, cidr, err := net.ParseCIDR("10.96.0.0/16")
	if err != nil {
		return info, err
	}
	addresses, err := ipallocator.NewInMemory(cidr)
	if err != nil {
		return info, err
	}
	ports, err := portallocator.NewInMemory(utilnet.PortRange{Base: 30000, Size: 2768})
	if err != nil {
		return info, err
	}
	services, status, _, err := servicestore.NewREST(
		sim, api.IPv4Protocol, map[api.IPFamily]ipallocator.Interface{api.IPv4Protocol: addresses},
		ports, noEndpoints{endpoints}, pods.Pod, nil,
	)
	if err != nil {
		return info, err
	}
	kinds := info.VersionedResourcesStorageMap["v1"]
	kinds["endpoints"] = endpoints
	kinds["pods"], kinds["pods/status"] = pods.Pod, pods.Status
	kinds["services"], kinds["services/status"] = services, status
	return info, nil
}

// noEndpoints is what a deleted Service finds: no controller has made any. (The API server
// looks for them outside of the request, where no cluster is named.)
type noEndpoints struct{ *endpointstore.REST }

// Delete finds nothing.
func (noEndpoints) Delete(
	_ context.Context, name string, _ rest.ValidateObjectFunc, _ *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	return nil, false, apierrors.NewNotFound(api.Resource("endpoints"), name)
}

// GetRESTOptions gives every kind the simulated storage.
func (s *simulation) GetRESTOptions(
	resource schema.GroupResource, _ runtime.Object,
) (generic.RESTOptions, error) {
	codec, err := storageCodec(resource)
	if err != nil {
		return generic.RESTOptions{}, err
	}
	config := storagebackend.Config{Codec: codec}
	return generic.RESTOptions{
		StorageConfig:  config.ForResource(resource),
		Decorator:      decorated,
		ResourcePrefix: "/" + resource.String(),
	}, nil
}

// storageCodec encodes as etcd's objects are encoded.
func storageCodec(resource schema.GroupResource) (runtime.Codec, error) {
	codec, _, err := serverstorage.NewStorageCodec(serverstorage.StorageCodecConfig{
		StorageMediaType:  "application/vnd.kubernetes.protobuf",
		StorageSerializer: legacyscheme.Codecs,
		StorageVersion:    legacyscheme.Scheme.PrioritizedVersionsForGroup(resource.Group)[0],
		MemoryVersion:     schema.GroupVersion{Group: resource.Group, Version: runtime.APIVersionInternal},
	})
	return codec, err
}

// decorated makes the storage of one kind.
func decorated(
	config *storagebackend.ConfigForResource,
	prefix string,
	_ func(runtime.Object) (string, error),
	newFunc func() runtime.Object,
	_ func() runtime.Object,
	_ storage.AttrFunc,
	_ storage.IndexerFuncs,
	_ *cache.Indexers,
) (storage.Interface, factory.DestroyFunc, error) {
	made := &store{
		codec: config.Codec, prefix: prefix, newFunc: newFunc, resource: config.GroupResource,
	}
	return made, func() {}, nil
}
