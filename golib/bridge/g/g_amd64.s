#include "textflag.h"

// func Current() unsafe.Pointer
TEXT ·Current(SB), NOSPLIT, $0-8
	MOVQ	(TLS), AX
	MOVQ	AX, ret+0(FP)
	RET

// The C calling convention: no arguments, result in AX, and CX is the
// caller's to save. Reads the same slot as runtime·cgocallback.
TEXT ·forC(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ	TLS, CX
	MOVQ	0(CX)(TLS*1), AX
	RET

// func CReader() unsafe.Pointer
TEXT ·CReader(SB), NOSPLIT, $0-8
	LEAQ	·forC(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
