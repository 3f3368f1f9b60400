// A shop's back end in Node (gRPC) and a page in a browser (gRPC-Web), with the same generated client.
import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./google/rpc/error_details_pb.js";
import { ProductSchema } from "./mercato/gateway/v1/product_pb.js";
import { ProductService } from "./mercato/gateway/v1/product_service_pb.js";
import { RecommendationService } from "./mercato/gateway/v1/recommendation_service_pb.js";
import { SearchService } from "./mercato/gateway/v1/search_service_pb.js";
import { SupportService } from "./mercato/gateway/v1/support_service_pb.js";
import { UserEventSchema, UserEventType } from "./mercato/gateway/v1/user_event_pb.js";
import { UserEventService } from "./mercato/gateway/v1/user_event_service_pb.js";

const [gateway, http, tenant] = process.argv.slice(2);

// Tenant and key on every call; a unary call that may be repeated is, after the delay that the gateway names.
const caller: Interceptor = (next) => async (request) => {
  request.header.set("mercato-tenant", tenant);
  if (process.env.MERCATO_API_KEY) request.header.set("x-api-key", process.env.MERCATO_API_KEY);
  for (let attempt = 0; ; attempt++) {
    try {
      return await next(request);
    } catch (cause) {
      const error = ConnectError.from(cause);
      const passing = error.code === Code.Unavailable || error.code === Code.ResourceExhausted;
      if (request.stream || !passing || attempt === 3) throw error;
      const told = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
      const seconds = told ? Number(told.seconds) + told.nanos / 1e9 : 0.1 * 2 ** attempt;
      await pause(1000 * seconds * (1 + Math.random() / 4));
    }
  }
};
const options = { interceptors: [caller], defaultTimeoutMs: 10_000 };
const node = createGrpcTransport({ baseUrl: `http://${gateway}`, ...options });
const browser = createGrpcWebTransport({ baseUrl: `http://${http}`, ...options });

// Import: batches in one stream, an acknowledgement for each. What was acknowledged is stored.
async function* batches() {
  for (const [id, title] of [["ts-1", "Whole milk"], ["ts-2", "Rye bread"]]) {
    const price = { currencyCode: "EUR", units: 1n, nanos: 990_000_000 };
    yield { products: [create(ProductSchema, { productId: id, title, price, categoryPath: ["Grocery"] })] };
  }
}
for await (const part of createClient(ProductService, node).importProducts(batches())) {
  if (part.summary) console.log(`imported ${part.summary.receivedCount} products, ${part.summary.rejectedCount} rejected`);
}

// What a page does: search, then tell what became of the answer by its token.
async function page(transport: Transport, name: string) {
  const found = await createClient(SearchService, transport).search({ query: "milk", visitorId: "ts-visitor" });
  const lists = createClient(RecommendationService, transport);
  const list = await lists.recommend({ visitorId: "ts-visitor", pageSize: 3 }, { timeoutMs: 2_000 });
  const event = create(UserEventSchema, {
    eventId: `${name}-${Date.now()}`,
    eventType: UserEventType.PRODUCT_VIEW,
    eventTime: timestampNow(),
    visitorId: "ts-visitor",
    products: [{ productId: "ts-1" }],
    attributionToken: found.attributionToken,
  });
  const written = await createClient(UserEventService, transport).writeUserEvents({ events: [event] });
  console.log(`${name}: token ${found.attributionToken !== ""}, list ${list.results.length >= 0}, events ${written.acceptedCount}`);
  for await (const part of createClient(SupportService, transport).ask({ question: "Can I return milk?" })) {
    if (part.part.case === "conclusion") console.log(`${name}: answered with outcome ${part.part.value.outcome}`);
  }
}
await page(node, "node");
await page(browser, "browser");

// Errors: the reason for programs, all violations with their paths.
try {
  await createClient(SearchService, browser).search({ query: "milk", pageSize: -1 });
} catch (cause) {
  const error = ConnectError.from(cause);
  const reason = error.findDetails(ErrorInfoSchema)[0]?.reason;
  const fields = error.findDetails(BadRequestSchema).flatMap((one) => one.fieldViolations.map((it) => it.field));
  console.log(`refused: ${Code[error.code]} ${reason} ${fields.join(",")}`);
}
