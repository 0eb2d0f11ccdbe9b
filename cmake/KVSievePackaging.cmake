# `cmake --install`: the programs, the recorder for Hugging Face models, and the licence.

install(PROGRAMS traces/record_hf.py DESTINATION "${CMAKE_INSTALL_DATADIR}/kvsieve")
install(FILES LICENSE README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}")
