package rds

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/smithy-go/logging"

	"holdfast"
)

// API is what is asked of RDS. The official client has it, and much more.
type API interface {
	DescribeDBInstances(context.Context, *rds.DescribeDBInstancesInput, ...func(*rds.Options)) (*rds.DescribeDBInstancesOutput, error)
	DescribeDBClusters(context.Context, *rds.DescribeDBClustersInput, ...func(*rds.Options)) (*rds.DescribeDBClustersOutput, error)
	DescribeAccountAttributes(context.Context, *rds.DescribeAccountAttributesInput, ...func(*rds.Options)) (*rds.DescribeAccountAttributesOutput, error)
	CreateDBSnapshot(context.Context, *rds.CreateDBSnapshotInput, ...func(*rds.Options)) (*rds.CreateDBSnapshotOutput, error)
	CreateDBClusterSnapshot(context.Context, *rds.CreateDBClusterSnapshotInput, ...func(*rds.Options)) (*rds.CreateDBClusterSnapshotOutput, error)
	DescribeDBSnapshots(context.Context, *rds.DescribeDBSnapshotsInput, ...func(*rds.Options)) (*rds.DescribeDBSnapshotsOutput, error)
	DescribeDBClusterSnapshots(context.Context, *rds.DescribeDBClusterSnapshotsInput, ...func(*rds.Options)) (*rds.DescribeDBClusterSnapshotsOutput, error)
	DeleteDBSnapshot(context.Context, *rds.DeleteDBSnapshotInput, ...func(*rds.Options)) (*rds.DeleteDBSnapshotOutput, error)
	DeleteDBClusterSnapshot(context.Context, *rds.DeleteDBClusterSnapshotInput, ...func(*rds.Options)) (*rds.DeleteDBClusterSnapshotOutput, error)
	CreateDBInstance(context.Context, *rds.CreateDBInstanceInput, ...func(*rds.Options)) (*rds.CreateDBInstanceOutput, error)
	RestoreDBInstanceFromDBSnapshot(context.Context, *rds.RestoreDBInstanceFromDBSnapshotInput, ...func(*rds.Options)) (*rds.RestoreDBInstanceFromDBSnapshotOutput, error)
	ModifyDBInstance(context.Context, *rds.ModifyDBInstanceInput, ...func(*rds.Options)) (*rds.ModifyDBInstanceOutput, error)
	DeleteDBInstance(context.Context, *rds.DeleteDBInstanceInput, ...func(*rds.Options)) (*rds.DeleteDBInstanceOutput, error)
	RestoreDBClusterFromSnapshot(context.Context, *rds.RestoreDBClusterFromSnapshotInput, ...func(*rds.Options)) (*rds.RestoreDBClusterFromSnapshotOutput, error)
	ModifyDBCluster(context.Context, *rds.ModifyDBClusterInput, ...func(*rds.Options)) (*rds.ModifyDBClusterOutput, error)
	DeleteDBCluster(context.Context, *rds.DeleteDBClusterInput, ...func(*rds.Options)) (*rds.DeleteDBClusterOutput, error)
}

// Options say how RDS is reached. Credentials, and what is empty, come by AWS's
// own chain: variables, shared configuration and profiles, web identity, the role
// of the machine.
type Options struct {
	Region   string
	Profile  string
	Endpoint string // of another server that speaks it: https://...
	CA       string // file with certificates to trust, in addition to the system's
}

// Account is RDS in one account and region.
type Account struct {
	API    API
	Region string
}

// Open makes an account of AWS's configuration. It reaches nothing.
func Open(ctx context.Context, o Options) (Account, error) {
	problem := func(err error, do string) error {
		return &holdfast.Problem{Class: holdfast.Usage, What: "Amazon RDS", Err: err, Do: do}
	}
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithLogger(logging.Nop{})} // a library is silent
	if o.Profile != "" {
		options = append(options, awsconfig.WithSharedConfigProfile(o.Profile))
	}
	if o.Region != "" {
		options = append(options, awsconfig.WithRegion(o.Region))
	}
	if o.CA != "" {
		trust, err := trusting(o.CA)
		if err != nil {
			return Account{}, problem(err, "Correct rds.ca in holdfast.yaml, or make the file readable.")
		}
		options = append(options, awsconfig.WithHTTPClient(trust))
	}
	found, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err == nil && found.Region == "" {
		err = errors.New("no region is known")
	}
	if err != nil {
		return Account{}, problem(err, "Write rds.region in holdfast.yaml, or set AWS_REGION or AWS_PROFILE.")
	}
	client := rds.NewFromConfig(found, func(c *rds.Options) {
		if o.Endpoint != "" {
			c.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	return Account{API: client, Region: found.Region}, nil
}

func trusting(file string) (*awshttp.BuildableClient, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}), nil
}
