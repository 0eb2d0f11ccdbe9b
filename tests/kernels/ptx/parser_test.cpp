// What the parser takes and refuses, each time with the line and the text.

#include <gtest/gtest.h>

#include <string>

#include "kernels/ptx/run_ptx.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

constexpr std::string_view kHead = ".version 9.0\n.target sm_80\n.address_size 64\n";

std::string message_of(const std::string& text) {
  try {
    const Program program(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadInput);
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  return "nothing is wrong";
}

/// Of a kernel with this body, whose first line is the 7th.
std::string message_of_body(const std::string& body) {
  return message_of(std::string(kHead) +
                    ".visible .entry k(.param .u64 p)\n{\n.reg .b32 %r<4>; .reg "
                    ".b64 %rd<4>; .reg .f32 %f<4>; .reg .pred %p<4>; .reg .b16 %rs<4>;\n" +
                    body + "\n}\n");
}

struct Malformed {
  const char* body;
  const char* message;
};

class PtxMalformedBodyTest : public testing::TestWithParam<Malformed> {};

TEST_P(PtxMalformedBodyTest, IsRefusedWithLineAndText) {
  EXPECT_EQ(message_of_body(GetParam().body), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Bodies, PtxMalformedBodyTest,
    testing::Values(
        Malformed{"wgmma.fence;", "PTX line 7: unsupported instruction: 'wgmma.fence'"},
        Malformed{"ret;\ncall (%r1), f, (%r2);",
                  "PTX line 8: unsupported instruction: 'call (%r1), f, (%r2)'"},
        Malformed{"add.s32 %r1, %r2;", "PTX line 7: too few operands: 'add.s32 %r1, %r2'"},
        Malformed{"add.s32 %r1, %r2, %r3, %r0;",
                  "PTX line 7: too many operands: 'add.s32 %r1, %r2, %r3, %r0'"},
        Malformed{"add.s32 %r1, %r2, %r9;",
                  "PTX line 7: unknown name %r9: 'add.s32 %r1, %r2, %r9'"},
        Malformed{"add.s32 %r1, %r2, %rd1;",
                  "PTX line 7: register %rd1 has 64 bits, the instruction 32: "
                  "'add.s32 %r1, %r2, %rd1'"},
        Malformed{"add.cc.s32 %r1, %r2, %r3;",
                  "PTX line 7: unsupported modifier .cc: 'add.cc.s32 %r1, %r2, %r3'"},
        Malformed{"add %r1, %r2, %r3;",
                  "PTX line 7: instruction without a supported type: 'add %r1, %r2, %r3'"},
        Malformed{"mov.u32 %r1, %clock;", "PTX line 7: unknown name %clock: 'mov.u32 %r1, %clock'"},
        Malformed{"mov.u32 5, %r1;",
                  "PTX line 7: the result has to be a register: 'mov.u32 5, %r1'"},
        Malformed{"mov.u32 %r1, 0f3F80;", "PTX line 7: not a number: 'mov.u32 %r1, 0f3F80'"},
        Malformed{"mov.u32 %r1, 99999999999999999999999;",
                  "PTX line 7: not a number: 'mov.u32 %r1, 99999999999999999999999'"},
        Malformed{"bra nowhere;", "PTX line 7: unknown label: 'nowhere'"},
        Malformed{"a:\nret;\na:\nret;", "PTX line 9: label defined twice: 'a'"},
        Malformed{"@%r1 ret;", "PTX line 7: expected a predicate: '@%r1 ret'"},
        Malformed{"ld.global.u32 %r1, %rd1;",
                  "PTX line 7: expected an address: 'ld.global.u32 %r1, %rd1'"},
        Malformed{"ld.global.u32 %r1, [%r2];",
                  "PTX line 7: register %r2 does not hold an address: 'ld.global.u32 %r1, [%r2]'"},
        Malformed{"ld.global.v2.u32 %r1, [%rd2];",
                  "PTX line 7: unexpected number of elements: 'ld.global.v2.u32 %r1, [%rd2]'"},
        Malformed{"st.param.u64 [p], %rd1;",
                  "PTX line 7: this space cannot be written: 'st.param.u64 [p], %rd1'"},
        Malformed{"ld.global.u32 %r1, [%rd2;",
                  "PTX line 7: expected ']': 'ld.global.u32 %r1, [%rd2'"},
        Malformed{"ld.shared.u32 %r1, [p];",
                  "PTX line 7: p is in another space: 'ld.shared.u32 %r1, [p]'"},
        Malformed{"cp.async.cg.shared.global [%r1], [%rd1], 8;",
                  "PTX line 7: cp.async copies 4, 8 or 16 bytes, .cg 16: "
                  "'cp.async.cg.shared.global [%r1], [%rd1], 8'"},
        Malformed{"mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%f0}, {%r0}, {%r1}, {%f1};",
                  "PTX line 7: only mma.sync.aligned.m16n8k16.row.col is supported: "
                  "'mma.sync.aligned.m8n8k4.row.col.f32.f16.f16.f32 {%f0}, {%r0}, {%r1}, {%f1}'"},
        Malformed{"shfl.bfly.b32 %r1, %r2, 1, 31;",
                  "PTX line 7: only .sync is supported: 'shfl.bfly.b32 %r1, %r2, 1, 31'"},
        Malformed{"setp.lt.and.u32 %p1, %r1, %r2;",
                  "PTX line 7: too few operands: 'setp.lt.and.u32 %p1, %r1, %r2'"},
        Malformed{"setp.ltu.u32 %p1, %r1, %r2;",
                  "PTX line 7: unsupported comparison of this type: "
                  "'setp.ltu.u32 %p1, %r1, %r2'"},
        Malformed{"and.pred %p1, !%p2, %p3;",
                  "PTX line 7: this predicate cannot be negated: "
                  "'and.pred %p1, !%p2, %p3'"},
        Malformed{".reg .b32 %x<1048577>;",
                  "PTX line 7: more registers than fit, at most 1048576: '%x'"},
        Malformed{".shared .b8 x[1073741825];",
                  "PTX line 7: variables have at most 1073741824 bytes: 'x'"},
        Malformed{".local .b64 x[4294967296][4294967296];",
                  "PTX line 7: variables have at most 1073741824 bytes: 'x'"},
        Malformed{"mov.b32 %r1, {{{{{{{{{{{{{{{{{%r2}}}}}}}}}}}}}}}}};",
                  "PTX line 7: operands within operands, at most 16 deep: "
                  "'mov.b32 %r1, {{{{{{{{{{{{{{{{{%r2}}}}}}}}}}}}}}}}}'"},
        Malformed{".callprototype x;", "PTX line 7: unsupported directive: '.callprototype'"}));

TEST(PtxParserTest, RefusesMalformedModules) {
  EXPECT_EQ(message_of(""), "PTX without a .target");
  EXPECT_EQ(message_of(".version 9.0\n.target sm_80\n.address_size 32\n"),
            "PTX line 3: addresses have to have 64 bits: '.address_size'");
  EXPECT_EQ(message_of(".target nvptx\n"),
            "PTX line 1: expected an architecture like sm_80: 'nvptx'");
  const std::string head(kHead);
  EXPECT_EQ(message_of(head + "rubbish"), "PTX line 4: unsupported directive: 'rubbish'");
  EXPECT_EQ(message_of(head + "\x01\x02"), "PTX line 4: unexpected text: '\x01\x02'");
  EXPECT_EQ(message_of(head + std::string("\0.entry k() { ret; }\n", 21)),
            "PTX line 4: a byte that is zero: ''");
  EXPECT_EQ(message_of(head + ".global .b8 v[0x40000001];\n"),
            "PTX line 4: variables have at most 1073741824 bytes: 'v'");
  EXPECT_EQ(message_of(head + ".entry k()\n{\nret;\n"),
            "PTX line 7: the text ends within a kernel: ''");
  EXPECT_EQ(message_of(head + ".entry k()\n{\nret\n"), "PTX line 6: expected ';': 'ret'");
  EXPECT_EQ(message_of(head + ".entry k(.param .u64\n"), "PTX line 5: unexpected text: ''");
  EXPECT_EQ(message_of(head + ".entry k() { ret; }\n.entry k() { ret; }\n"),
            "PTX line 5: kernel defined twice: 'k'");
  EXPECT_EQ(message_of(head + ".func f() { ret; }\n"),
            "PTX line 4: unsupported directive: '.func'");
  EXPECT_EQ(message_of(head + ".global .align 3 .b8 v[4];\n"),
            "PTX line 4: alignment is no power of two: 'v'");
  EXPECT_EQ(message_of(head + ".global .b8 v[2] = {1, 2, 3};\n"),
            "PTX line 4: initial values do not fit the variable: ';'");
}

/// Every prefix of a module is a module, or refused in one line.
TEST(PtxParserTest, SurvivesBeingCutAnywhere) {
  const std::string text = std::string(kHead) +
                           ".global .align 4 .u32 table[2] = {0x1, -2};\n"
                           ".visible .entry k(.param .align 8 .b8 p[16], .param .u32 q)\n"
                           ".maxntid 32, 1, 1\n{\n.reg .b32 %r<3>; /* comment */\n"
                           "  .loc 1 5 3, function_name $L0, inlined_at 1 4 2\n"
                           "@!%p bra end; // more\n end: ret;\n}\n.file 1 \"a.cu\"\n"
                           ".section .debug_str { $L0: .b8 1 }\n";
  for (std::size_t length = 0; length < text.size(); ++length) {
    message_of(text.substr(0, length));
    // And with one byte of it replaced.
    std::string changed = text;
    changed[length] = static_cast<char>(changed[length] ^ 0x15);
    message_of(changed);
  }
}

TEST(PtxParserTest, KnowsParametersAndKernels) {
  const Program program(
      std::string(kHead) +
      ".entry first(.param .u32 a, .param .u64 b, .param .align 16 .b8 c[24]) { ret; }\n"
      ".visible .entry second() { ret; }\n");
  EXPECT_EQ(program.kernels(), (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(program.parameter_bytes("first"), (std::vector<std::size_t>{4, 8, 24}));
  EXPECT_EQ(program.architecture(), 80);
  EXPECT_THROW((void)program.parameter_bytes("third"), Error);
}

TEST(PtxParserTest, VariablesOfTheModule) {
  // Constants with initial values, a global one that starts at zero, and addresses with an offset.
  const std::string text =
      std::string(kHead) +
      ".const .align 4 .u32 table[4] = {10, 0x20, 30};\n"
      ".global .align 8 .b8 state[8];\n"
      ".visible .entry k(.param .u64 out)\n{\n.reg .b32 %r<4>; .reg .b64 %rd<4>;\n"
      "ld.param.u64 %rd1, [out];\n"
      "ld.const.u32 %r1, [table+4];\n"
      "ld.global.u32 %r2, [state+4];\n"
      "mov.u64 %rd2, table+8;\n"
      "ld.global.u32 %r3, [%rd2];\n"
      "add.u32 %r1, %r1, %r2;\nadd.u32 %r1, %r1, %r3;\n"
      "st.global.u32 [%rd1], %r1;\n"
      "st.global.u32 [state+4], 100;\nret;\n}\n";
  const Program program(text);
  Memory memory;
  const Buffer<std::uint32_t> out(memory, 1);
  run(program, "k", {{1}, {1}}, memory, 0, out.data());
  EXPECT_EQ(out.values()[0], 32U + 0U + 30U);
  // What a launch left in a variable is there for the next one.
  run(program, "k", {{1}, {1}}, memory, 0, out.data());
  EXPECT_EQ(out.values()[0], 32U + 100U + 30U);
}

TEST(PtxParserTest, LaunchesThatNoGpuTakes) {
  const Program program(
      std::string(kHead) +
      ".visible .entry k()\n.maxntid 512, 1, 1\n{\n.shared .b8 tile[1024]; ret;\n}\n");
  const auto message = [&](const kernels::LaunchConfig& config) {
    Memory memory;
    try {
      run(program, "k", config, memory, 0);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message({{1}, {512}}), "");
  EXPECT_EQ(
      message({{1}, {1025}}),
      "launch of kernel k: blocks of 1025 x 1 x 1 threads, at most 1024 threads and 64 in z fit");
  EXPECT_EQ(
      message({{1}, {1, 1, 65}}),
      "launch of kernel k: blocks of 1 x 1 x 65 threads, at most 1024 threads and 64 in z fit");
  EXPECT_EQ(message({{1}, {513}}),
            "launch of kernel k: blocks of 513 threads, it is compiled for at most 512");
  EXPECT_EQ(
      message({{1, 65536}, {32}}),
      "launch of kernel k: a grid of 1 x 65536 x 1 blocks, at most 2147483647 x 65535 x 65535 fit");
  EXPECT_EQ(
      message({{0}, {32}}),
      "launch of kernel k: a grid of 0 x 1 x 1 blocks, at most 2147483647 x 65535 x 65535 fit");
}

TEST(PtxParserTest, SharedMemoryThatTheArchitectureHas) {
  for (const auto& [architecture, kib] : {std::pair{80, 163}, {90, 227}, {100, 227}}) {
    const Program program(
        fmt::format(".version 9.0\n.target sm_{}\n.address_size 64\n"
                    ".visible .entry k()\n{{\n.shared .b8 tile[1024]; ret;\n}}\n",
                    architecture));
    Memory memory;
    const std::size_t most = static_cast<std::size_t>(kib) * 1024;
    EXPECT_NO_THROW(run(program, "k", {{1}, {32}, most - 1024}, memory, 0));
    try {
      run(program, "k", {{1}, {32}, most - 1023}, memory, 0);
      ADD_FAILURE() << architecture;
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()),
                fmt::format("launch of kernel k: {} bytes of shared memory, a block of sm_{} has "
                            "at most {}",
                            most + 1, architecture, most));
    }
  }
}

}  // namespace
}  // namespace kvsieve::ptx
