#include "kvsieve/sim/measured_rows.h"

#include <gtest/gtest.h>

#include "measured_fixture.h"
#include "traces/fails_with.h"
#include "traces/temporary_folder.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;
using kvsieve::tests::TemporaryFolder;
using kvsieve::tests::write_bytes;

constexpr std::string_view kHeader =
    "gpu,engine,op,batch,q_heads,kv_heads,head_dim,kv_dtype,context,m,n,k,latency_us\n";

MeasuredFile read(std::string_view text) {
  const TemporaryFolder folder;
  write_bytes(folder / "rows.csv", text);
  return read_measured(folder / "rows.csv");
}

void expect_bad(const std::string& text, std::string_view message) {
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, message, [&] { static_cast<void>(read(text)); }))
      << text;
}

TEST(MeasuredRows, OwnSchema) {
  const MeasuredFile file = read(std::string(kHeader) +
                                 "my-gpu,mine,decode_attention,4,32,8,128,bf16,2048,,,,41.5\n"
                                 "my-gpu,mine,gemm,,,,,,,16,4096,11008,12.25\n"
                                 "my-gpu,mine,gemm,,,,,,,0,4096,11008,1\n");
  EXPECT_EQ(file.form, "kvsieve");
  EXPECT_EQ(file.name, "rows.csv");
  EXPECT_EQ(file.hash.size(), 32U);
  EXPECT_EQ(file.total_rows, 3);
  EXPECT_EQ(file.skipped_rows, 1);
  ASSERT_EQ(file.rows.size(), 2U);
  const MeasuredRow& attention = file.rows[0];
  EXPECT_EQ(attention.op, MeasuredOp::kDecodeAttention);
  EXPECT_EQ(attention.gpu, "my-gpu");
  EXPECT_EQ(attention.kv_dtype, "bfloat16");
  EXPECT_EQ(attention.batch, 4);
  EXPECT_EQ(attention.q_heads, 32);
  EXPECT_EQ(attention.kv_heads, 8);
  EXPECT_EQ(attention.context, 2048);
  EXPECT_EQ(attention.latency_us, 41.5);
  EXPECT_EQ(attention.line, 2);
  EXPECT_EQ(attention.number, 0);
  EXPECT_EQ(file.rows[1].k, 11008);
  EXPECT_EQ(file.rows[1].kv_dtype, "");
  EXPECT_EQ(engine_of(attention), "mine");
}

TEST(MeasuredRows, OwnSchemaWithOptionalColumnsInAnyOrder) {
  const MeasuredFile file = read(
      "latency_us,output_tokens,model,engine_version,note,gpu,engine,op,batch,q_heads,kv_heads,"
      "head_dim,kv_dtype,context,m,n,k\r\n"
      "2e6,128,llama-3-8b,0.7,\"a, b\",a100-sxm-40,vllm,end_to_end,16,,,,,512,,,\r\n"
      "2e6,128,no-such-model,0.7,,a100-sxm-40,vllm,end_to_end,16,,,,,512,,,\r\n");
  ASSERT_EQ(file.rows.size(), 1U);
  EXPECT_EQ(file.rows[0].op, MeasuredOp::kEndToEnd);
  EXPECT_EQ(file.rows[0].model, "llama-3-8b");
  EXPECT_EQ(file.rows[0].output_tokens, 128);
  EXPECT_EQ(file.rows[0].context, 512);
  EXPECT_EQ(engine_of(file.rows[0]), "vllm 0.7");
  ASSERT_EQ(file.unknown_models.size(), 1U);
  EXPECT_EQ(file.unknown_models[0].name, "no-such-model");
  EXPECT_EQ(file.unknown_models[0].rows, 1);
}

TEST(MeasuredRows, AiconfiguratorAttention) {
  const MeasuredFile file = read(
      "system,device,framework,version,kernel_source,batch_size,n_q_heads,n_kv_heads,head_dim,"
      "kv_dtype,ctx,latency_ms,achieved_over_spec_bw\n"
      "h100_sxm,NVIDIA H100 80GB HBM3,VLLM,0.14.0,fa,8,64,8,128,fp8,4096,0.0402,0.5\n");
  EXPECT_EQ(file.form, "aiconfigurator-attention");
  ASSERT_EQ(file.rows.size(), 1U);
  EXPECT_EQ(file.rows[0].gpu, "h100_sxm");
  EXPECT_EQ(engine_of(file.rows[0]), "VLLM 0.14.0");
  EXPECT_EQ(file.rows[0].kv_dtype, "fp8");
  EXPECT_EQ(file.rows[0].q_heads, 64);
  EXPECT_NEAR(file.rows[0].latency_us, 40.2, 1e-9);
}

TEST(MeasuredRows, AiconfiguratorGemm) {
  const MeasuredFile file = read(
      "system,fw,layer,m,n,k,dtype,latency_ms\n"
      "a100_sxm,vllm-0.14.0,o,2,4096,4096,bfloat16,0.0266\n"
      "a100_sxm,sglang-0.5.6.post2,o,2,4096,4096,bfloat16,0.0266\n"
      "a100_sxm,trtllm-1.3.0rc10,o,2,4096,4096,fp8,0.0266\n"
      "a100_sxm,other,o,0,4096,4096,bfloat16,0.0266\n");
  EXPECT_EQ(file.form, "aiconfigurator-gemm");
  EXPECT_EQ(file.skipped_rows, 2);
  ASSERT_EQ(file.rows.size(), 2U);
  EXPECT_EQ(engine_of(file.rows[0]), "VLLM 0.14.0");
  EXPECT_EQ(engine_of(file.rows[1]), "SGLang 0.5.6.post2");
  EXPECT_EQ(file.rows[0].op, MeasuredOp::kGemm);
  EXPECT_NEAR(file.rows[0].latency_us, 26.6, 1e-9);
}

TEST(MeasuredRows, FrontierAttention) {
  const MeasuredFile file = read(
      "gpu,model,attention_backend,batch_size,ctx,n_q_heads,n_kv_heads,head_dim,block_size,"
      "decode_ms,GBps\n"
      "a800,meta-llama/"
      "Llama-2-7b-hf,AttentionBackend.FLASHINFER,64,1024,32,32,128,16,0.626,1715\n");
  EXPECT_EQ(file.form, "frontier-attention");
  ASSERT_EQ(file.rows.size(), 1U);
  EXPECT_EQ(engine_of(file.rows[0]), "FLASHINFER");
  EXPECT_EQ(file.rows[0].kv_dtype, "bfloat16");
  EXPECT_NEAR(file.rows[0].latency_us, 626.0, 1e-9);
}

TEST(MeasuredRows, LlmServingSimAttentionDividesHeadsByTensorParallelism) {
  const MeasuredFile file = read(
      "gpu,model,tp,n_decode,kv_decode,time_us\n"
      "RTX4090,meta-llama/Llama-3.1-8B,tp1,64,16384,4553.3\n"
      "RTX4090,meta-llama/Llama-3.1-8B,tp2,64,16384,2300\n"
      "RTX4090,meta-llama/Llama-3.1-8B,tp2,0,16384,1\n"
      "RTX4090,nobody/nothing-9b,tp1,64,16384,1\n");
  EXPECT_EQ(file.form, "llmservingsim-attention");
  ASSERT_EQ(file.rows.size(), 2U);
  EXPECT_EQ(engine_of(file.rows[0]), "VLLM 0.19");
  EXPECT_EQ(file.rows[0].q_heads, 32);
  EXPECT_EQ(file.rows[0].kv_heads, 8);
  EXPECT_EQ(file.rows[1].q_heads, 16);
  EXPECT_EQ(file.rows[1].kv_heads, 4);
  EXPECT_EQ(file.skipped_rows, 1);
  ASSERT_EQ(file.unknown_models.size(), 1U);
}

TEST(MeasuredRows, LlmServingSimLayersTakeTheirShapesFromTheModel) {
  std::string text = "gpu,model,tp,layer,tokens,time_us\n";
  for (const char* layer : {"qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head",
                            "layernorm", "rotary_emb", "embedding", "act_fn", "final_layernorm"}) {
    text += std::string("RTX4090,meta-llama/Llama-3.1-8B,tp2,") + layer + ",16,10.5\n";
  }
  const MeasuredFile file = read(text);
  EXPECT_EQ(file.form, "llmservingsim-layers");
  EXPECT_EQ(file.skipped_rows, 5);
  ASSERT_EQ(file.rows.size(), 5U);
  const auto expect_shape = [&](std::size_t i, std::int64_t n, std::int64_t k) {
    EXPECT_EQ(file.rows[i].m, 16);
    EXPECT_EQ(file.rows[i].n, n) << i;
    EXPECT_EQ(file.rows[i].k, k) << i;
  };
  expect_shape(0, (16 + 2 * 4) * 128, 4096);
  expect_shape(1, 4096, 2048);
  expect_shape(2, 14336, 4096);
  expect_shape(3, 4096, 7168);
  expect_shape(4, 128256 / 2, 4096);
}

TEST(MeasuredRows, LlmInferenceBench) {
  const MeasuredFile file = read(
      "Hardware,Framework,Model,in_len_and_out_len,batch_size,latency_s,throughput\n"
      "Nvidia A100 GPU,TensorRT-LLM,meta-llama/Llama-2-7b-hf,128,16,1.8081,2265.36\n"
      "Nvidia A100 GPU,vLLM,some/other-model,128,16,1.8081,2265.36\n");
  EXPECT_EQ(file.form, "llm-inference-bench");
  ASSERT_EQ(file.rows.size(), 1U);
  EXPECT_EQ(file.rows[0].op, MeasuredOp::kEndToEnd);
  EXPECT_EQ(file.rows[0].context, 128);
  EXPECT_EQ(file.rows[0].output_tokens, 128);
  EXPECT_NEAR(file.rows[0].latency_us, 1'808'100.0, 1e-6);
  EXPECT_EQ(file.unknown_models.size(), 1U);
}

TEST(MeasuredRows, EveryPublishedSetIsRead) {
  struct Set {
    const char* name;
    const char* form;
  };
  for (const Set& set : {Set{"decode_attention_aiconfigurator.csv", "aiconfigurator-attention"},
                         {"gemm_llama31_8b_shapes_aiconfigurator.csv", "aiconfigurator-gemm"},
                         {"decode_attention_frontier_a800.csv", "frontier-attention"},
                         {"decode_attention_llmservingsim.csv", "llmservingsim-attention"},
                         {"dense_layers_llmservingsim.csv", "llmservingsim-layers"},
                         {"e2e_llm_inference_bench.csv", "llm-inference-bench"}}) {
    const MeasuredFile file = published(set.name);
    EXPECT_EQ(file.form, set.form);
    EXPECT_GT(file.rows.size(), 40U) << set.name;
    EXPECT_TRUE(file.unknown_models.empty()) << set.name;
    EXPECT_EQ(file.total_rows, static_cast<std::int64_t>(file.rows.size()) + file.skipped_rows);
  }
}

TEST(MeasuredRows, BadFilesAreNamedWithTheirLine) {
  const std::string header(kHeader);
  const std::string good = "g,e,decode_attention,4,32,8,128,bf16,2048,,,,41.5\n";
  expect_bad("a,b\n1,2\n", "rows.csv:1: columns 'a,b' are those of no known form");
  expect_bad(header + good + "g,e,decode_attention,4,32,8,128,bf16,2048,,,\n",
             "rows.csv:3: 12 cells");
  expect_bad(header + "g,e,decode_attention,4,32,8,128,bf16,2048,,,,fast\n",
             "rows.csv:2: latency_us is 'fast', expected a number");
  expect_bad(header + "g,e,decode_attention,4,32,8,128,bf16,2048,,,,0\n", "a time above 0");
  expect_bad(header + "g,e,decode_attention,4,32,8,128,bf16,2048,,,,nan\n", "expected a number");
  expect_bad(header + "g,e,decode_attention,4,32,8,128,bf16,2048,,,,1e400\n", "expected a number");
  expect_bad(header + "g,e,decode_attention,0,32,8,128,bf16,2048,,,,1\n", "batch is '0'");
  expect_bad(header + "g,e,decode_attention,1.5,32,8,128,bf16,2048,,,,1\n", "a whole number");
  expect_bad(header + "g,e,decode_attention,1e15,32,8,128,bf16,2048,,,,1\n", "batch is '1e15'");
  expect_bad(header + "g,e,decode_attention,4,30,8,128,bf16,2048,,,,1\n", "a multiple of the 8");
  expect_bad(header + "g,e,decode_attention,4,32,8,128,int3,2048,,,,1\n", "kv_dtype is 'int3'");
  expect_bad(header + "g,e,softmax,4,32,8,128,bf16,2048,,,,1\n", "op is 'softmax'");
  expect_bad(header + ",e,decode_attention,4,32,8,128,bf16,2048,,,,1\n", "gpu is ''");
  expect_bad(header + "g,e,end_to_end,4,,,,,2048,,,,1\n", "output_tokens is ''");
  expect_bad("gpu,model,tp,n_decode,kv_decode,time_us\nx,llama-3-8b,tpx,1,1,1\n", "tp is 'tpx'");
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "no-such.csv: cannot be read",
                         [] { static_cast<void>(read_measured("no-such.csv")); }));
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "cannot be read",
                         [] { static_cast<void>(read_measured("/tmp")); }));
}

TEST(MeasuredRows, SpellingsOfTypesAndNames) {
  EXPECT_EQ(element_bytes_of("bfloat16"), 2);
  EXPECT_EQ(element_bytes_of("FP16"), 2);
  EXPECT_EQ(element_bytes_of("fp8_e4m3"), 1);
  EXPECT_EQ(element_bytes_of("int8"), 1);
  EXPECT_EQ(element_bytes_of("float32"), 4);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "'int4'",
                         [] { static_cast<void>(element_bytes_of("int4")); }));
  EXPECT_TRUE(same_name("vLLM", "VLLM"));
  EXPECT_FALSE(same_name("vLLM", "VLLM2"));
  EXPECT_FALSE(same_name("vLLM", "SGLang"));
}

}  // namespace
}  // namespace kvsieve::sim::tests
