# `cmake --install`: the programs, the recorder for Hugging Face models, the sample, and the licence.

install(PROGRAMS traces/record_hf.py DESTINATION "${CMAKE_INSTALL_DATADIR}/kvsieve")
install(FILES traces/samples/smollm2-needle.kvtrace
  DESTINATION "${CMAKE_INSTALL_DATADIR}/kvsieve/samples")
install(FILES LICENSE README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
