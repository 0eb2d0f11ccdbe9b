// `kvsieve sweep --mpi` on every rank: rank 0 reads the store, hands out chunks and alone writes;
// the others evaluate.

#include <boost/mpi/communicator.hpp>
#include <boost/mpi/environment.hpp>
#include <exception>
#include <string>
#include <vector>

#include "kvsieve/traces/error.h"
#include "mpi_sweep.h"
#include "sweep_command.h"
#include "terminal.h"

namespace kvsieve::cli {
namespace {

int run(const boost::mpi::communicator& world, const std::vector<std::string>& words) {
  if (world.rank() > 0) {
    serve_points(world, words);
    return 0;
  }
  int code = 0;
  try {
    code = run_sweep_points(words, [&](auto&&... arguments) {
      return spread_sweep(world, std::forward<decltype(arguments)>(arguments)...);
    });
  } catch (const Error& error) {
    code = report_error(error.what(), error.hint(), error.kind());
  } catch (const std::exception& error) {
    code = report_error(error.what(), "this is a defect of kvsieve", ErrorKind::kInternal);
  }
  dismiss_ranks(world);
  return code;
}

}  // namespace
}  // namespace kvsieve::cli

int main(int argc, char** argv) {
  // The evaluator's threads make no calls of MPI.
  const boost::mpi::environment environment(argc, argv, boost::mpi::threading::funneled);
  const boost::mpi::communicator world;
  kvsieve::cli::catch_interrupts();
  const std::vector<std::string> words(argv + 1, argv + argc);
  return kvsieve::cli::run(world, words);
}
