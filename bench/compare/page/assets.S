/* SPDX-License-Identifier: MIT
   Files that the page carries, so that axiom-compare needs none beside it. The assembler looks
   for uPlot where -I says. */
.macro asset name, path
    .global axiom_page_\name, axiom_page_\name\()_end
axiom_page_\name:
    .incbin "\path"
axiom_page_\name\()_end:
    .byte 0
.endm

    .section .rodata
    asset script, "bench/compare/page/report.js"
    asset style, "bench/compare/page/report.css"
    asset uplot_script, "uplot.js"
    asset uplot_style, "uplot.css"
    asset uplot_licence, "uplot.licence"

    .section .note.GNU-stack, "", @progbits
