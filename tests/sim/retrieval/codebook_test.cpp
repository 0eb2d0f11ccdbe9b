#include "kvsieve/sim/codebook.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "kvsieve/sim/retrieval_replay.h"
#include "kvsieve/sim/version.h"
#include "kvsieve/traces/error.h"
#include "sim/retrieval/retrieval_expectations.h"
#include "sim/retrieval/scalar_attention.h"
#include "traces/fails_with.h"

namespace kvsieve::sim::tests {
namespace {

using kvsieve::tests::fails_with;

TraceShape calibration_shape() {
  TraceShape shape;
  shape.layers = 2;
  shape.q_heads = 4;
  shape.kv_heads = 2;
  shape.head_dim = 16;
  shape.width = 16;
  shape.prompt_tokens = 600;
  shape.prompt_queries = 600;
  shape.decode_tokens = 8;
  return shape;
}

Codebook train(const traces::Trace& trace, CodebookOptions options = {}) {
  options.distance = 40;
  const traces::Trace* list[] = {&trace};
  return train_codebook(list, options);
}

std::vector<float> values_of(const traces::TensorView& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  traces::to_float(tensor.dtype, tensor.data, values);
  return values;
}

/// Keys whose channels have very different widths, so that plain and query-aware metrics differ.
void widen_channels(LayerTensors& tensors) {
  for (auto* tensor : {&tensors.k, &tensors.q}) {
    const bool keys = tensor == &tensors.k;
    for (std::vector<float>& head : *tensor) {
      for (std::size_t i = 0; i < head.size(); ++i) {
        const auto channel = static_cast<double>(i % 16);
        head[i] *= static_cast<float>(std::pow(2.0, (keys ? -channel : channel - 15.0) / 5.0));
      }
    }
  }
}

TEST(AutoCodewords, LeavesSixteenRowsACodeword) {
  EXPECT_EQ(auto_codewords(1), 16);
  EXPECT_EQ(auto_codewords(511), 16);
  EXPECT_EQ(auto_codewords(512), 32);
  EXPECT_EQ(auto_codewords(2009), 64);
  EXPECT_EQ(auto_codewords(2048), 128);
  EXPECT_EQ(auto_codewords(65535), 2048);
  EXPECT_EQ(auto_codewords(1 << 30), 4096);
}

TEST(CodebookTraining, DescribesItself) {
  const TraceFixture fixture(calibration_shape());
  const Codebook book = train(fixture.trace(), {.seed = 5});
  const CodebookInfo& info = book.info();
  EXPECT_EQ(info.model.name, "fixture");
  EXPECT_EQ(info.kind, CodebookKind::kQueryAware);
  EXPECT_EQ(info.codewords, 32);
  EXPECT_EQ(info.distance, 40);
  EXPECT_EQ(info.seed, 5U);
  EXPECT_EQ(info.tool_version, version());
  ASSERT_EQ(info.traces.size(), 1U);
  EXPECT_EQ(info.traces[0].name, "fixture.kvtrace");
  EXPECT_EQ(info.traces[0].hash, fixture.trace().hash());
  EXPECT_EQ(info.traces[0].prompt_tokens, 600);
  EXPECT_TRUE(info.warnings.empty());
  ASSERT_EQ(book.layers().size(), 2U);
  for (const CodebookLayer& layer : book.layers()) {
    EXPECT_EQ(layer.codewords.shape, (std::vector<std::int64_t>{2, 32, 16}));
    EXPECT_EQ(layer.cholesky.shape, (std::vector<std::int64_t>{2, 16, 16}));
    for (const TrainingRecord& record : layer.heads) {
      EXPECT_EQ(record.rows, 600);
      EXPECT_EQ(record.query_rows, 1200);
      EXPECT_TRUE(record.converged);
      EXPECT_EQ(static_cast<std::int64_t>(record.objective.size()), record.iterations + 1);
      EXPECT_GT(record.condition_number, 1.0);
    }
  }
  EXPECT_EQ(book.find(1), &book.layers()[1]);
  EXPECT_EQ(book.find(2), nullptr);
}

TEST(CodebookTraining, SeedingIsAnOption) {
  const TraceFixture fixture(calibration_shape());
  const Codebook all = train(fixture.trace(), {.codewords = 16, .max_iterations = 2, .seed = 5});
  const Codebook sampled = train(
      fixture.trace(),
      {.codewords = 16, .max_iterations = 2, .seed = 5, .seeding = CodebookSeeding::kSampled});
  EXPECT_EQ(all.info().seeding, CodebookSeeding::kPlusPlus);
  EXPECT_EQ(sampled.info().seeding, CodebookSeeding::kSampled);
  EXPECT_NE(values_of(all.layers()[0].codewords), values_of(sampled.layers()[0].codewords));
  EXPECT_EQ(codebook_seeding_from_name(name_of(CodebookSeeding::kSampled)),
            CodebookSeeding::kSampled);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "plus-plus, sampled",
                         [] { (void)codebook_seeding_from_name("random"); }));
}

TEST(CodebookTraining, ProgressMovesWithinAHeadAndMayEndTheTraining) {
  const TraceFixture fixture(calibration_shape());
  const traces::Trace* list[] = {&fixture.trace()};
  CodebookOptions options;
  options.distance = 40;
  options.codewords = 64;
  options.max_iterations = 3;
  options.tolerance = 0.0;
  std::vector<double> shares;
  (void)train_codebook(list, options, [&](double share) { shares.push_back(share); });
  EXPECT_TRUE(std::is_sorted(shares.begin(), shares.end()));
  EXPECT_EQ(shares.back(), 1.0);
  // Four heads: at least one look while seeds are drawn, four at the iterations, one at the end.
  EXPECT_GE(shares.size(), 4U * 5U);
  EXPECT_TRUE(std::any_of(shares.begin(), shares.end(),
                          [](double share) { return share > 0.0 && share < 0.25; }));
  EXPECT_THROW((void)train_codebook(list, options,
                                    [](double share) {
                                      if (share > 0.0) {
                                        EXPECT_LT(share, 0.25);
                                        throw std::runtime_error("stopped");
                                      }
                                    }),
               std::runtime_error);
}

TEST(CodebookTraining, T15_QueryAwareCodesHaveTheSmallerScoreError) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    TraceShape shape = calibration_shape();
    shape.seed = seed;
    shape.edit = widen_channels;
    const TraceFixture calibration(shape);
    shape.seed = seed + 100;
    const TraceFixture held_out(shape);
    const auto nmse = [&](const char* preset) {
      RetrievalOptions options = small_options(preset, "5%");
      options.codebook = codebook_for(calibration.trace(), options.scorer, 32, seed);
      const RetrievalResult result = replay_retrieval(held_out.trace(), options);
      EXPECT_TRUE(result.codebook->given);
      EXPECT_FALSE(result.codebook->in_sample);
      return *result.summary.vq_error->nmse;
    };
    EXPECT_LT(nmse("a2ats"), nmse("vq-plain")) << seed;
  }
}

TEST(CodebookTraining, T17_ForeignDataHasTheLargerError) {
  TraceShape shape = calibration_shape();
  const TraceFixture own(shape);
  shape.seed = 9;
  shape.edit = [](LayerTensors& tensors) {
    for (std::vector<float>& head : tensors.k) {
      for (float& x : head) {
        x = 2.0F * x + 1.0F;  // another centre, another width
      }
    }
  };
  const TraceFixture foreign(shape);
  RetrievalOptions options = small_options("a2ats", "5%");
  options.codebook = codebook_for(own.trace(), options.scorer, 64);
  EXPECT_LT(2.0 * replay_retrieval(own.trace(), options).summary.vq_error->mse,
            replay_retrieval(foreign.trace(), options).summary.vq_error->mse);
}

TEST(CodebookTraining, TheMomentCanComeFromRopeQueries) {
  TraceShape shape = calibration_shape();
  shape.edit = widen_channels;
  const TraceFixture fixture(shape);
  const Codebook wrope = train(fixture.trace());
  const Codebook rope = train(fixture.trace(), {.moment = MomentQueries::kRope});
  EXPECT_EQ(rope.info().moment, MomentQueries::kRope);
  EXPECT_NE(values_of(wrope.layers()[0].cholesky), values_of(rope.layers()[0].cholesky));
  const Codebook plain = train(fixture.trace(), {.kind = CodebookKind::kPlain});
  EXPECT_EQ(plain.layers()[0].heads[0].query_rows, 0);
  const std::vector<float> factor = values_of(plain.layers()[0].cholesky);
  for (std::size_t i = 0; i < 16 * 16; ++i) {
    EXPECT_EQ(factor[i], i % 17 == 0 ? 1.0F : 0.0F);
  }
}

TEST(CodebookTraining, CenteringChangesCodewordsByTheMeanAlone) {
  TraceShape shape = calibration_shape();
  shape.edit = [](LayerTensors& tensors) {
    for (std::vector<float>& head : tensors.k) {
      for (std::size_t i = 0; i < head.size(); ++i) {
        head[i] += 0.25F * static_cast<float>(i % 16);
      }
    }
  };
  const TraceFixture fixture(shape);
  const Codebook plain = train(fixture.trace(), {.codewords = 8});
  const Codebook centred = train(fixture.trace(), {.center_keys = true, .codewords = 8});
  EXPECT_TRUE(centred.info().center_keys);
  EXPECT_EQ(centred.layers()[0].mean.shape, (std::vector<std::int64_t>{2, 1, 16}));
  EXPECT_EQ(plain.layers()[0].mean.data, nullptr);
  const std::vector<Vector> keys = rows_of(fixture.trace().layer(0).k, 1);
  const Vector mean = rows_of(centred.layers()[0].mean, 1)[0];
  for (std::size_t t = 0; t < 16; ++t) {
    double sum = 0.0;
    for (std::size_t j = 0; j < 600; ++j) {
      sum += keys[j][t] / 600.0;
    }
    EXPECT_NEAR(mean[t], sum, 1e-5);
  }
  // The same objective: k-means does not see where the origin is.
  EXPECT_NEAR(centred.layers()[0].heads[1].objective.back(),
              plain.layers()[0].heads[1].objective.back(),
              0.05 * plain.layers()[0].heads[1].objective.back());
}

TEST(CodebookTraining, CenteredCodesScoreAsTheReferenceAndSoftmaxSeesNoDifference) {
  TraceShape shape = calibration_shape();
  shape.layers = 1;
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("a2ats", "5%");
  options.center_keys = true;
  options.mass = kernels::Decimal::parse("90%");  // needs scores in full, not up to a constant
  const RetrievalResult result = replay(fixture.trace(), options);
  EXPECT_TRUE(result.codebook->info.center_keys);
  expect_matches_reference(fixture.trace(), result);
  options.codewords = 16;
  const RetrievalResult trained_here = replay_retrieval(fixture.trace(), options);
  expect_identical(result, trained_here);
}

TEST(CodebookTraining, PostRopeCodebooksServeQueriesAtTruePositions) {
  const TraceFixture fixture(calibration_shape());
  const Codebook book = train(fixture.trace(), {.kind = CodebookKind::kPostRope, .codewords = 16});
  EXPECT_EQ(book.info().moment, MomentQueries::kRope);
  EXPECT_EQ(book.layers()[0].heads[0].query_rows, 1200);
  RetrievalOptions options = small_options("vq-post-rope", "5%");
  options.codewords = 600;
  const RetrievalResult lossless = replay_retrieval(fixture.trace(), options);
  // Only the decoded tokens have no codeword of their own, and they are in the window.
  EXPECT_LT(*lossless.summary.vq_error->nmse, 1e-6);
  EXPECT_EQ(lossless.summary.recall, 1.0);
  options = small_options("a2ats", "5%");
  options.codebook = std::make_shared<const Codebook>(
      train(fixture.trace(), {.kind = CodebookKind::kPostRope, .codewords = 16}));
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "the codebook is post-rope",
                         [&] { (void)replay_retrieval(fixture.trace(), options); }));
}

TEST(CodebookTraining, SeveralTracesAddUp) {
  TraceShape shape = calibration_shape();
  const TraceFixture a(shape);
  shape.seed = 2;
  shape.prompt_tokens = 300;
  shape.prompt_queries = 100;
  const TraceFixture b(shape);
  const traces::Trace* list[] = {&a.trace(), &b.trace()};
  const Codebook book = train_codebook(list, {});
  EXPECT_EQ(book.layers()[0].heads[0].rows, 900);
  EXPECT_EQ(book.layers()[0].heads[0].query_rows, 2 * 700);
  EXPECT_EQ(book.info().traces.size(), 2U);
  shape.kv_heads = 4;
  const TraceFixture other(shape);
  const traces::Trace* mixed[] = {&a.trace(), &other.trace()};
  EXPECT_TRUE(
      fails_with(ErrorKind::kBadInput, "its model", [&] { (void)train_codebook(mixed, {}); }));
}

TEST(CodebookTraining, FewQueriesAreAWarningAndNoneAnError) {
  TraceShape shape = calibration_shape();
  shape.prompt_queries = 127;  // 254 rows a group, 256 wanted
  const TraceFixture few(shape);
  const Codebook book = train(few.trace());
  ASSERT_EQ(book.info().warnings.size(), 1U);
  EXPECT_NE(book.info().warnings[0].find("254 captured query rows a group are under 16 d = 256"),
            std::string::npos);
  shape.prompt_queries = 128;
  const TraceFixture enough(shape);
  EXPECT_TRUE(train(enough.trace()).info().warnings.empty());
  shape.prompt_queries = 0;
  const TraceFixture none(shape);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "needs captured prompt queries",
                         [&] { (void)train(none.trace()); }));
  EXPECT_EQ(train(none.trace(), {.kind = CodebookKind::kPlain}).layers().size(), 2U);
}

TEST(CodebookTraining, MoreCodewordsThanKeysAreAWarning) {
  TraceShape shape = calibration_shape();
  shape.prompt_tokens = 140;
  const TraceFixture fixture(shape);
  const Codebook book = train(fixture.trace(), {.codewords = 200});
  ASSERT_EQ(book.info().warnings.size(), 1U);
  EXPECT_EQ(book.layers()[0].heads[0].dead_codes, 60);
  EXPECT_EQ(book.layers()[0].heads[0].objective.back(), 0.0);
}

TEST(CodebookTraining, SlidingLayersAreLeftOut) {
  TraceShape shape = calibration_shape();
  shape.layers = 3;
  shape.sliding_windows[0] = 32;
  const TraceFixture fixture(shape);
  const Codebook book = train(fixture.trace());
  ASSERT_EQ(book.layers().size(), 2U);
  EXPECT_EQ(book.layers()[0].layer, 1);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "sliding window",
                         [&] { (void)train(fixture.trace(), {.layers = {0}}); }));
}

TEST(CodebookTraining, ValuesThatAreNotFiniteNameLayerAndHead) {
  TraceShape shape = calibration_shape();
  shape.edit_stored = [](LayerTensors& tensors) {
    if (tensors.layer == 1) {
      tensors.row(tensors.k, 1, 17)[3] = std::nanf("");
    }
  };
  const TraceFixture fixture(shape);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "layer 1, KV head 1: calibration key 17",
                         [&] { (void)train(fixture.trace()); }));
}

TEST(CodebookFile, RoundTripKeepsEveryBit) {
  TraceShape shape = calibration_shape();
  shape.prompt_queries = 50;  // a warning to keep, too
  const TraceFixture fixture(shape);
  const Codebook book = train(
      fixture.trace(), {.codewords = 33, .seed = UINT64_MAX, .seeding = CodebookSeeding::kSampled});
  const auto path = fixture.folder() / "book.safetensors";
  book.save(path, false);
  const Codebook read = Codebook::open(path);
  EXPECT_EQ(read.info().model.name, book.info().model.name);
  EXPECT_EQ(read.info().model.defaults, book.info().model.defaults);
  EXPECT_EQ(read.info().kind, book.info().kind);
  EXPECT_EQ(read.info().codewords, 33);
  EXPECT_EQ(read.info().seed, UINT64_MAX);
  EXPECT_EQ(read.info().seeding, CodebookSeeding::kSampled);
  EXPECT_EQ(read.info().tolerance, book.info().tolerance);
  EXPECT_EQ(read.info().warnings, book.info().warnings);
  EXPECT_EQ(read.info().traces[0].hash, book.info().traces[0].hash);
  ASSERT_EQ(read.layers().size(), book.layers().size());
  for (std::size_t l = 0; l < 2; ++l) {
    EXPECT_EQ(values_of(read.layers()[l].codewords), values_of(book.layers()[l].codewords));
    EXPECT_EQ(values_of(read.layers()[l].cholesky), values_of(book.layers()[l].cholesky));
    for (std::size_t h = 0; h < 2; ++h) {
      EXPECT_EQ(read.layers()[l].heads[h].objective, book.layers()[l].heads[h].objective);
      EXPECT_EQ(read.layers()[l].heads[h].condition_number,
                book.layers()[l].heads[h].condition_number);
      EXPECT_EQ(read.layers()[l].heads[h].query_rows, book.layers()[l].heads[h].query_rows);
    }
  }
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "book.safetensors", [&] { book.save(path, false); }));
  book.save(path, true);
  EXPECT_EQ(fixture.folder().entries().size(), 2U);  // trace and codebook, nothing temporary
}

TEST(CodebookFile, RoundTripKeepsCentredAndRotatedKeys) {
  const TraceFixture fixture(calibration_shape());
  const Codebook book =
      train(fixture.trace(), {.kind = CodebookKind::kPostRope, .center_keys = true});
  const auto path = fixture.folder() / "book.safetensors";
  book.save(path, false);
  const Codebook read = Codebook::open(path);
  EXPECT_EQ(read.info().kind, CodebookKind::kPostRope);
  EXPECT_TRUE(read.info().center_keys);
  for (std::size_t l = 0; l < 2; ++l) {
    EXPECT_EQ(values_of(read.layers()[l].codewords), values_of(book.layers()[l].codewords));
    EXPECT_EQ(values_of(read.layers()[l].mean), values_of(book.layers()[l].mean));
  }
}

TEST(CodebookFile, ReplaysAlikeTrainedHereInMemoryAndFromTheFile) {
  const TraceFixture fixture(calibration_shape());
  RetrievalOptions options = small_options("a2ats", "5%");
  const RetrievalResult in_sample = replay_retrieval(fixture.trace(), options);
  EXPECT_FALSE(in_sample.codebook->given);
  EXPECT_TRUE(in_sample.codebook->in_sample);
  EXPECT_EQ(in_sample.codebook->info.codewords, 32);

  options.codebook = codebook_for(fixture.trace(), options.scorer, 32);
  const RetrievalResult in_memory = replay_retrieval(fixture.trace(), options);
  EXPECT_TRUE(in_memory.codebook->given);
  EXPECT_TRUE(in_memory.codebook->in_sample);
  expect_identical(in_sample, in_memory);

  const auto path = fixture.folder() / "book.safetensors";
  options.codebook->save(path, false);
  options.codebook = std::make_shared<const Codebook>(Codebook::open(path));
  const RetrievalResult from_file = replay_retrieval(fixture.trace(), options);
  expect_identical(in_sample, from_file);
  EXPECT_EQ(from_file.layers[0].heads[0].calibration->objective,
            in_sample.layers[0].heads[0].calibration->objective);
  EXPECT_EQ(from_file.layers[0].heads[0].code_usage->largest_bucket,
            in_sample.layers[0].heads[0].code_usage->largest_bucket);
}

TEST(CodebookFile, CodeUsageDescribesTheHistogram) {
  TraceShape shape = calibration_shape();
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("a2ats", "5%");
  options.codewords = 600;  // every prompt key its own codeword
  const CodeUsage usage = *replay_retrieval(fixture.trace(), options).layers[0].heads[0].code_usage;
  EXPECT_EQ(usage.dead_codes, 0);
  EXPECT_NEAR(usage.mean_bucket, 608.0 / 600.0, 1e-12);
  EXPECT_LE(usage.entropy_bits, std::log2(600.0));
  EXPECT_GT(usage.entropy_bits, std::log2(600.0) - 0.1);
  options.codewords = 1;
  const CodeUsage one = *replay_retrieval(fixture.trace(), options).layers[0].heads[0].code_usage;
  EXPECT_EQ(one.entropy_bits, 0.0);
  EXPECT_EQ(one.largest_bucket, 608);
}

TEST(CodebookFile, MustFitTheTraceAndTheScorer) {
  TraceShape shape = calibration_shape();
  const TraceFixture fixture(shape);
  RetrievalOptions options = small_options("a2ats", "5%");
  options.codebook = codebook_for(fixture.trace(), RetrievalScorer::kVqPlain, 16);
  EXPECT_TRUE(fails_with(ErrorKind::kUsage, "the codebook is plain",
                         [&] { (void)replay_retrieval(fixture.trace(), options); }));
  options.codebook = codebook_for(fixture.trace(), options.scorer, 16);
  shape.head_dim = 32;
  const TraceFixture wider(shape);
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "the codebook is for L 2, Hq 4, Hkv 2, d 16",
                         [&] { (void)replay_retrieval(wider.trace(), options); }));
  const traces::Trace* list[] = {&fixture.trace()};
  options.codebook =
      std::make_shared<const Codebook>(train_codebook(list, {.distance = 40, .layers = {1}}));
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "the codebook has no layer 0, only 1",
                         [&] { (void)replay_retrieval(fixture.trace(), options); }));
  options.layers = {1};
  EXPECT_TRUE(replay_retrieval(fixture.trace(), options).warnings.empty());
  options.distance = 41;
  ASSERT_EQ(replay_retrieval(fixture.trace(), options).warnings.size(), 1U);
  shape = calibration_shape();
  shape.edit_header = [](traces::TraceHeader& header) { header.model.name = "another"; };
  const TraceFixture renamed(shape);
  options.distance = 40;
  const RetrievalResult result = replay_retrieval(renamed.trace(), options);
  ASSERT_EQ(result.warnings.size(), 1U);
  EXPECT_NE(result.warnings[0].find("calibrated on fixture"), std::string::npos);
}

/// A codebook file whose metadata document and tensors a test may damage.
class DamagedFile : public testing::Test {
 protected:
  DamagedFile() : m_fixture(calibration_shape()) {
    train(m_fixture.trace(), {.codewords = 16}).save(m_path, false);
    const auto file = traces::SafetensorsFile::open(m_path);
    m_metadata = file.header().metadata;
    for (const traces::TensorEntry& entry : file.header().tensors) {
      m_tensors.push_back({entry.name, entry.dtype, entry.shape});
    }
  }

  /// Writes the damaged file and returns whether opening it fails with `part`.
  testing::AssertionResult refused(std::string_view part) {
    const auto path = m_fixture.folder() / "damaged";
    {
      traces::SafetensorsWriter writer(path, m_metadata, m_tensors, true);
      for (const auto& tensor : m_tensors) {
        std::int64_t elements = 1;
        for (const std::int64_t size : tensor.shape) {
          elements *= size;
        }
        if (tensor.dtype == traces::DType::kI32) {
          writer.write(tensor.name, 0,
                       std::span<const std::int32_t>(
                           std::vector<std::int32_t>(static_cast<std::size_t>(elements))));
        } else {
          writer.write(
              tensor.name, 0,
              std::span<const float>(std::vector<float>(static_cast<std::size_t>(elements), 1.0F)));
        }
      }
      writer.commit();
    }
    return fails_with(ErrorKind::kBadInput, part, [&] {
      try {
        (void)Codebook::open(path);
      } catch (const Error& error) {
        EXPECT_EQ(std::string_view(error.what()).rfind(path.string(), 0), 0U) << error.what();
        throw;
      }
    });
  }
  template <class Change>
  testing::AssertionResult refused_document(std::string_view part, Change change) {
    const std::string before = m_metadata["kvsieve"];
    auto json = nlohmann::ordered_json::parse(before);
    change(json);
    m_metadata["kvsieve"] = json.dump();
    const testing::AssertionResult result = refused(part);
    m_metadata["kvsieve"] = before;
    return result;
  }

  TraceFixture m_fixture;
  std::filesystem::path m_path = m_fixture.folder() / "book";
  std::map<std::string, std::string> m_metadata;
  std::vector<traces::SafetensorsWriter::Tensor> m_tensors;
};

TEST_F(DamagedFile, OtherFormatsAreNamed) {
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "expected 'kvsieve.codebook'",
                         [&] { (void)Codebook::open(m_fixture.trace().path()); }));
  m_metadata["version"] = "2";
  EXPECT_TRUE(refused("codebook version is '2', expected '1'"));
  m_metadata.erase("format");
  EXPECT_TRUE(refused("__metadata__.format is ''"));
}

TEST_F(DamagedFile, BadDocumentsNameTheField) {
  using Json = nlohmann::ordered_json;
  EXPECT_TRUE(refused_document("kvsieve.kind", [](Json& json) { json["kind"] = "fancy"; }));
  EXPECT_TRUE(refused_document("kvsieve.moment", [](Json& json) { json["moment"] = 3; }));
  EXPECT_TRUE(refused_document("kvsieve.codewords", [](Json& json) { json["codewords"] = 0; }));
  EXPECT_TRUE(refused_document("kvsieve.seed", [](Json& json) { json["seed"] = -1; }));
  EXPECT_TRUE(refused_document("kvsieve.seeding", [](Json& json) { json["seeding"] = "best"; }));
  EXPECT_TRUE(refused_document("kvsieve.layers", [](Json& json) { json.erase("layers"); }));
  EXPECT_TRUE(
      refused_document("kvsieve.layers", [](Json& json) { json["layers"] = Json::array(); }));
  EXPECT_TRUE(refused_document("kvsieve.layers[1].layer",
                               [](Json& json) { json["layers"][1]["layer"] = 0; }));
  EXPECT_TRUE(refused_document("kvsieve.layers[0].heads",
                               [](Json& json) { json["layers"][0]["heads"].erase(0); }));
  EXPECT_TRUE(refused_document("condition_number", [](Json& json) {
    json["layers"][0]["heads"][0]["condition_number"] = -1.0;
  }));
  EXPECT_TRUE(refused_document(
      "objective", [](Json& json) { json["layers"][0]["heads"][0]["objective"] = {"low"}; }));
  EXPECT_TRUE(refused_document("kvsieve.warnings", [](Json& json) { json["warnings"] = {1}; }));
  EXPECT_TRUE(refused_document("model", [](Json& json) { json["model"].erase("head_dim"); }));
  m_metadata["kvsieve"] = "{";
  EXPECT_TRUE(refused("__metadata__.kvsieve"));
}

TEST_F(DamagedFile, TensorsMustHaveTheShapesTheDocumentSays) {
  const auto tensors = m_tensors;
  m_tensors[0].shape[1] = 8;
  EXPECT_TRUE(refused("layers.0.codewords has shape [2, 8, 16], expected [2, 16, 16]"));
  m_tensors = tensors;
  m_tensors[1].dtype = traces::DType::kI32;
  EXPECT_TRUE(refused("layers.0.cholesky is I32"));
  m_tensors = tensors;
  m_tensors.pop_back();
  EXPECT_TRUE(refused("layers.1.cholesky"));
}

TEST_F(DamagedFile, ValuesAreCheckedWhereTheyAreUsed) {
  // All ones: no triangular factor.
  traces::SafetensorsWriter writer(m_fixture.folder() / "ones", m_metadata, m_tensors, true);
  for (const auto& tensor : m_tensors) {
    writer.write(tensor.name, 0, std::span<const float>(std::vector<float>(512, 1.0F)));
  }
  writer.commit();
  RetrievalOptions options = small_options("a2ats", "5%");
  options.codebook = std::make_shared<const Codebook>(Codebook::open(m_fixture.folder() / "ones"));
  EXPECT_TRUE(fails_with(ErrorKind::kBadInput, "layer 0, KV head 0: the factor is not lower",
                         [&] { (void)replay_retrieval(m_fixture.trace(), options); }));
}

}  // namespace
}  // namespace kvsieve::sim::tests
