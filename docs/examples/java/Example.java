import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.Timestamps;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import com.google.type.Money;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.lite.ProtoLiteUtils;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import mercato.gateway.v1.*;

/** A shop's back end: imports products, asks for a list, tells what became of it, reads errors. */
public final class Example {
  private static final Metadata.Key<Status> DETAILS =
      Metadata.Key.of(
          "grpc-status-details-bin", ProtoLiteUtils.metadataMarshaller(Status.getDefaultInstance()));

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel = ManagedChannelBuilder.forTarget(arguments[0]).usePlaintext().build();
    Metadata caller = new Metadata();
    caller.put(Metadata.Key.of("mercato-tenant", Metadata.ASCII_STRING_MARSHALLER), arguments[1]);
    String key = System.getenv("MERCATO_API_KEY");
    if (key != null) {
      caller.put(Metadata.Key.of("x-api-key", Metadata.ASCII_STRING_MARSHALLER), key);
    }
    var called = ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(caller));
    importProducts(ProductServiceGrpc.newStub(called));

    var lists = RecommendationServiceGrpc.newBlockingStub(called);
    var wanted = RecommendationServiceOuterClass.RecommendRequest.newBuilder().setUserId("java-user").setPageSize(3).build();
    var list = retried(() -> lists.withDeadlineAfter(5, TimeUnit.SECONDS).recommend(wanted));
    var event =
        UserEventOuterClass.UserEvent.newBuilder()
            .setEventId("java-" + System.nanoTime())
            .setEventType(UserEventOuterClass.UserEventType.USER_EVENT_TYPE_PRODUCT_VIEW)
            .setEventTime(Timestamps.fromMillis(System.currentTimeMillis()))
            .setUserId("java-user")
            .addProducts(UserEventOuterClass.EventProduct.newBuilder().setProductId("java-1"))
            .setAttributionToken(list.getAttributionToken())
            .build();
    var events = UserEventServiceGrpc.newBlockingStub(called);
    var batch = UserEventServiceOuterClass.WriteUserEventsRequest.newBuilder().addEvents(event).build();
    var written = retried(() -> events.withDeadlineAfter(10, TimeUnit.SECONDS).writeUserEvents(batch));
    System.out.printf("token %b, events %d%n", !list.getAttributionToken().isEmpty(), written.getAcceptedCount());

    try {
      var wrong = SearchServiceOuterClass.SearchRequest.newBuilder().setQuery("milk").setPageSize(-1).build();
      SearchServiceGrpc.newBlockingStub(called).withDeadlineAfter(5, TimeUnit.SECONDS).search(wrong);
    } catch (StatusRuntimeException error) {
      System.out.printf("refused: %s %s%n", error.getStatus().getCode(), detail(error, ErrorInfo.class).get().getReason());
      detail(error, BadRequest.class).get().getFieldViolationsList().forEach(one -> System.out.println("violation: " + one.getField()));
    }
    channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
  }

  /** A call that may be repeated is, after the delay that the gateway names. */
  private static <T> T retried(Supplier<T> call) throws InterruptedException {
    for (int attempt = 0; ; attempt++) {
      try {
        return call.get();
      } catch (StatusRuntimeException error) {
        var code = error.getStatus().getCode();
        boolean passing = code == io.grpc.Status.Code.UNAVAILABLE || code == io.grpc.Status.Code.RESOURCE_EXHAUSTED;
        if (!passing || attempt == 3) {
          throw error;
        }
        var told = detail(error, RetryInfo.class).map(RetryInfo::getRetryDelay);
        Thread.sleep(told.map(delay -> delay.getSeconds() * 1000 + delay.getNanos() / 1_000_000).orElse(100L << attempt));
      }
    }
  }

  private static <T extends com.google.protobuf.Message> Optional<T> detail(StatusRuntimeException error, Class<T> kind) {
    Metadata trailers = error.getTrailers();
    Status status = trailers == null ? null : trailers.get(DETAILS);
    if (status != null) {
      for (Any packed : status.getDetailsList()) {
        if (packed.is(kind)) {
          try {
            return Optional.of(packed.unpack(kind));
          } catch (InvalidProtocolBufferException damaged) {
            return Optional.empty();
          }
        }
      }
    }
    return Optional.empty();
  }

  /** Batches in one stream, an acknowledgement for each. What was acknowledged is stored. */
  private static void importProducts(ProductServiceGrpc.ProductServiceStub stub) throws InterruptedException {
    CountDownLatch ended = new CountDownLatch(1);
    var requests =
        stub.withDeadlineAfter(30, TimeUnit.SECONDS)
            .importProducts(
                new StreamObserver<ProductServiceOuterClass.ImportProductsResponse>() {
                  @Override
                  public void onNext(ProductServiceOuterClass.ImportProductsResponse part) {
                    if (part.hasSummary()) {
                      var sum = part.getSummary();
                      System.out.printf("imported %d products, %d rejected%n", sum.getReceivedCount(), sum.getRejectedCount());
                    }
                  }

                  @Override
                  public void onError(Throwable error) {
                    error.printStackTrace();
                    ended.countDown();
                  }

                  @Override
                  public void onCompleted() {
                    ended.countDown();
                  }
                });
    String[] titles = {"Whole milk", "Rye bread"};
    for (int number = 0; number < titles.length; number++) {
      var product =
          ProductOuterClass.Product.newBuilder()
              .setProductId("java-" + (number + 1))
              .setTitle(titles[number])
              .addCategoryPath("Grocery")
              .setPrice(Money.newBuilder().setCurrencyCode("EUR").setUnits(1).setNanos(990_000_000));
      requests.onNext(ProductServiceOuterClass.ImportProductsRequest.newBuilder().addProducts(product).build());
    }
    requests.onCompleted();
    ended.await(30, TimeUnit.SECONDS);
  }
}
