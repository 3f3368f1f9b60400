// A shop's back end: imports products, asks for a list, tells what became of it, reads errors.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	errdetails "google.golang.org/genproto/googleapis/rpc/errdetails"
	money "google.golang.org/genproto/googleapis/type/money"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "example/gen/mercato/gateway/v1"
)

// A unary call that may be repeated is, after the delay that the gateway names.
func retry(ctx context.Context, method string, request, reply interface{}, channel *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	for attempt := 0; ; attempt++ {
		err := invoke(ctx, method, request, reply, channel, options...)
		code := status.Code(err)
		if attempt == 3 || (code != codes.Unavailable && code != codes.ResourceExhausted) {
			return err
		}
		wait := 100 * time.Millisecond << attempt
		for _, detail := range status.Convert(err).Details() {
			if info, ok := detail.(*errdetails.RetryInfo); ok {
				wait = info.RetryDelay.AsDuration()
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

func main() {
	address, tenant := os.Args[1], os.Args[2]
	channel, err := grpc.Dial(address, grpc.WithInsecure(), grpc.WithUnaryInterceptor(retry))
	check(err)
	defer channel.Close()
	// Every call ends: the deadline is passed on from service to service.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "mercato-tenant", tenant)
	if key := os.Getenv("MERCATO_API_KEY"); key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-api-key", key)
	}
	importProducts(ctx, pb.NewProductServiceClient(channel))

	list, err := pb.NewRecommendationServiceClient(channel).Recommend(ctx, &pb.RecommendRequest{UserId: "go-user", PageSize: 3})
	check(err)
	event := &pb.UserEvent{
		EventId:          fmt.Sprintf("go-%d", time.Now().UnixNano()),
		EventType:        pb.UserEventType_USER_EVENT_TYPE_PRODUCT_VIEW,
		EventTime:        timestamppb.Now(),
		UserId:           "go-user",
		Products:         []*pb.EventProduct{{ProductId: "go-1"}},
		AttributionToken: list.AttributionToken,
	}
	written, err := pb.NewUserEventServiceClient(channel).WriteUserEvents(ctx, &pb.WriteUserEventsRequest{Events: []*pb.UserEvent{event}})
	check(err)
	fmt.Printf("token %t, events %d\n", list.AttributionToken != "", written.AcceptedCount)

	_, err = pb.NewSearchServiceClient(channel).Search(ctx, &pb.SearchRequest{Query: "milk", PageSize: -1})
	for _, detail := range status.Convert(err).Details() {
		switch found := detail.(type) {
		case *errdetails.ErrorInfo:
			fmt.Printf("refused: %s %s\n", status.Code(err), found.Reason)
		case *errdetails.BadRequest:
			for _, violation := range found.FieldViolations {
				fmt.Printf("violation: %s\n", violation.Field)
			}
		}
	}
}

// Batches in one stream, an acknowledgement for each. What was acknowledged is stored.
func importProducts(ctx context.Context, client pb.ProductServiceClient) {
	stream, err := client.ImportProducts(ctx)
	check(err)
	for number, title := range []string{"Whole milk", "Rye bread"} {
		product := &pb.Product{
			ProductId:    fmt.Sprintf("go-%d", number+1),
			Title:        title,
			CategoryPath: []string{"Grocery"},
			Price:        &money.Money{CurrencyCode: "EUR", Units: 1, Nanos: 990000000},
		}
		check(stream.Send(&pb.ImportProductsRequest{Products: []*pb.Product{product}}))
	}
	check(stream.CloseSend())
	for {
		part, err := stream.Recv()
		if err == io.EOF {
			return
		}
		check(err)
		if part.Summary != nil {
			fmt.Printf("imported %d products, %d rejected\n", part.Summary.ReceivedCount, part.Summary.RejectedCount)
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
